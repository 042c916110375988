"""near_core.mesh.obj_ply: OBJ and PLY files against what their formats say."""


import numpy as np
import pytest
import trimesh
from PIL import Image

from near_core import mesh


def test_obj_with_its_material(tmp_path):
    Image.new("RGB", (2, 2), (10, 20, 30)).save(tmp_path / "wood.png")
    (tmp_path / "a.mtl").write_text("newmtl red\nKd 0.25 0.5 0.125\nNs 250\n"
                                    "newmtl wood\nmap_Kd wood.png\nPr 0.3\nPm 1\n")
    (tmp_path / "a.obj").write_text(
        "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nvt 0 0\nvt 1 0\nvt 0 1\n"
        "usemtl red\nf 1/1 2/2 3/3\nusemtl wood\nf 2/1 4/2 3/3\n")
    loaded = mesh.load(tmp_path / "a.obj")
    red, wood = (next(m for m in loaded.materials if m.name == name) for name in ("red", "wood"))
    np.testing.assert_allclose(red.base_color, (0.25, 0.5, 0.125, 1))
    assert red.roughness == pytest.approx(0.5) and red.metallic == 0
    assert (wood.roughness, wood.metallic) == (0.3, 1) and wood.base_color_map[0, 0].tolist() == [10, 20, 30, 255]
    assert loaded.vertices[:, 1].max() == 0 and loaded.vertices[:, 2].max() == 1  # upright
    assert len(loaded.faces) == 2 and loaded.corner_uv.shape == (2, 3, 2)


SQUARE = ("v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl red\nf 1/1 2/2 3/3\n")


@pytest.mark.parametrize("named", ["", "mtllib gone.mtl\n", "mtllib a.mtl\n"])
def test_without_its_material_it_is_grey(tmp_path, named):
    (tmp_path / "a.mtl").write_bytes(bytes(range(256)))
    (tmp_path / "a.obj").write_text(named + SQUARE)
    (found,) = mesh.load(tmp_path / "a.obj").materials
    assert found.base_color == (0.8, 0.8, 0.8, 1) and found.base_color_map is None


@pytest.mark.parametrize("line", ["map_Kd -s 2 2 1 -o 0.5 wood.png", "map_Kd -bm 1 -s 2 -clamp on -o .5 0 wood.png",
                                  "map_Kd C:\\textures\\wood.png", "map_Kd /home/me/wood.png"])
def test_options_and_folders_before_a_texture(tmp_path, line):
    Image.new("RGB", (2, 2), (10, 20, 30)).save(tmp_path / "wood.png")
    (tmp_path / "a.mtl").write_text(f"newmtl red\n{line}\n")
    (tmp_path / "a.obj").write_text("mtllib a.mtl\n" + SQUARE)
    loaded = mesh.load(tmp_path / "a.obj")
    assert loaded.materials[0].base_color_map[0, 0].tolist() == [10, 20, 30, 255]
    scaled = (2.5, 0.5) if "-s" in line else (1, 0)
    assert loaded.corner_uv[0, :, 0].max() == scaled[0] and loaded.corner_uv[0, :, 0].min() == scaled[1]


def test_ply_is_upright_already(tmp_path):
    box = trimesh.creation.box((1, 2, 3))
    box.visual.vertex_colors = np.tile(np.uint8([255, 0, 0, 255]), (8, 1))
    (tmp_path / "a.ply").write_bytes(box.export(file_type="ply"))
    loaded = mesh.load(tmp_path / "a.ply")
    np.testing.assert_allclose(np.ptp(loaded.vertices, axis=0), [1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(loaded.corner_color[0, 0], [1, 0, 0, 1])


def test_obj_reads_only_its_own_folder(tmp_path):
    (tmp_path / "a.mtl").write_text("newmtl red\nKd 1 0 0\n")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.obj").write_text("mtllib ../a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl red\nf 1 2 3\n")
    assert mesh.load(inside / "a.obj").materials[0].base_color == (0.8, 0.8, 0.8, 1)


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_normals_are_the_files_own(tmp_path, suffix):
    """Made-up ones would smooth what has no normals, so that it is not flat any more."""
    ball = trimesh.creation.icosphere(1)
    option = "include_normals" if suffix == ".obj" else "vertex_normal"
    for name, wanted in (("without", False), ("with", True)):
        data = ball.export(file_type=suffix[1:], **{option: wanted})
        (tmp_path / f"{name}{suffix}").write_bytes(data.encode() if isinstance(data, str) else data)
    assert mesh.load(tmp_path / f"without{suffix}").corner_normal is None
    loaded = mesh.load(tmp_path / f"with{suffix}")
    np.testing.assert_allclose(loaded.corner_normal, loaded.vertices[loaded.faces], atol=1e-5)  # a ball of radius 1


def test_faces_with_four_corners_become_triangles(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n")
    loaded = mesh.load(tmp_path / "a.obj")
    assert loaded.faces.shape == (2, 3)
    assert mesh.compute_face_normals(loaded)[1].sum() == pytest.approx(1)
