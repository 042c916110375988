"""near_core.mesh.obj_ply: OBJ and PLY files against what their formats say."""


import io
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from near_core import mesh
from near_core.errors import NearError
from near_core.mesh import obj_ply
from tests.machine import bound_by_rights


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


def test_what_it_does_without_is_told(tmp_path):
    """One that is not there, one that may not be read, and a picture that is none for us; not one that is found."""
    Image.new("RGB", (2, 2)).save(tmp_path / "wood.png")
    Image.new("RGB", (2, 2)).save(tmp_path / "shut.png")
    Image.new("RGB", (2, 2)).save(tmp_path / "odd.ico")
    (tmp_path / "a.mtl").write_text("".join(f"newmtl {name}\nmap_Kd /home/me/{name}\n" for name in (
        "wood.png", "gone.png", "shut.png", "odd.ico")))
    (tmp_path / "a.obj").write_text("mtllib a.mtl\n" + SQUARE)
    notes = []
    (tmp_path / "shut.png").chmod(0)
    with bound_by_rights():
        mesh.load(tmp_path / "a.obj", notes)
    assert notes == [
        "a.obj needs gone.png, which is not in its folder. Put the file there, or export as .glb, which holds "
        "everything.", "shut.png could not be read (Permission denied). Check the file.",
        "odd.ico is not a picture NeAR can read. Choose a .png, .jpg or .exr file."]
    notes = []
    (tmp_path / "a.mtl").chmod(0)
    with bound_by_rights():
        (grey,) = mesh.load(tmp_path / "a.obj", notes).materials
    assert grey.base_color == (0.8, 0.8, 0.8, 1) and notes == [
        "a.mtl could not be read (Permission denied). Check the file."]


@pytest.mark.parametrize("change", [lambda text: b"\xef\xbb\xbf" + text, lambda text: text.replace(b"\n", b"\r"),
                                    lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")])
def test_marks_of_encodings_and_ends_of_lines(tmp_path, change):
    (tmp_path / "a.mtl").write_bytes(change(b"newmtl red\nKd 0.25 0.5 0.125\nmap_d a.png\n"))
    (tmp_path / "a.obj").write_bytes(change(("mtllib a.mtl\n" + SQUARE).encode()))
    assert mesh.load(tmp_path / "a.obj").materials[0].base_color == (0.25, 0.5, 0.125, 1)
    assert obj_ply.read_flags(tmp_path / "a.obj") == {"flat", "alpha"}


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


def test_materials_are_counted_and_share_their_picture(tmp_path):
    """Each goes through all vertices; each of a thousand would hold the pixels of its own."""
    Image.new("RGB", (512, 512), (10, 20, 30)).save(tmp_path / "wood.png")
    (tmp_path / "a.mtl").write_text("".join(f"newmtl m{n}\nmap_Kd wood.png\n" for n in range(300)))
    shape = SQUARE.partition("usemtl")[0]
    (tmp_path / "a.obj").write_text("mtllib a.mtl\n" + shape + "".join(
        f"usemtl m{n}\nf 1/1 2/2 3/3\n" for n in range(300)))
    materials = mesh.load(tmp_path / "a.obj").materials
    assert len(materials) == 300 and len({id(each.base_color_map.base) for each in materials}) == 1
    (tmp_path / "b.obj").write_text(shape + "".join(f"usemtl m{n}\nf 1/1 2/2 3/3\n" for n in range(2001)))
    with pytest.raises(NearError, match="2,001 materials"):
        mesh.load(tmp_path / "b.obj")


def test_nothing_is_printed_of_what_is_missing(tmp_path):
    (tmp_path / "a.ply").write_bytes(
        b"ply\nformat ascii 1.0\ncomment TextureFile gone.png\nelement vertex 3\nproperty float x\nproperty float y\n"
        b"property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n"
        b"3 0 1 2\n")
    load = f"from near_core import mesh; mesh.load({str(tmp_path / 'a.ply')!r})"
    root = Path(mesh.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0 and done.stdout + done.stderr == ""


def test_a_picture_for_the_system_to_draw_is_none(tmp_path):
    """Windows' metafiles are handed to Windows, under whatever name."""
    head = b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<4hH", 0, 0, 100, 100, 100) + bytes(6) + b"\1\0\t\0" + bytes(99)
    assert Image.open(io.BytesIO(head)).format == "WMF"
    (tmp_path / "wood.png").write_bytes(head)
    (tmp_path / "a.mtl").write_text("newmtl red\nKd 1 0 0\nmap_Kd wood.png\n")
    (tmp_path / "a.obj").write_text("mtllib a.mtl\n" + SQUARE)
    (found,) = mesh.load(tmp_path / "a.obj").materials
    assert found.base_color_map is None and found.base_color == (1, 0, 0, 1)


@pytest.mark.timing
def test_blank_lines_are_gone_through_once(tmp_path):
    (tmp_path / "a.mtl").write_text("newmtl red\n" + "\n" * 300_000 + " d 0.25\n")
    (tmp_path / "a.obj").write_text("mtllib a.mtl\n" + "mtllib" + " " * 100_000 + "\n" + SQUARE)
    start = time.process_time()
    assert obj_ply.read_flags(tmp_path / "a.obj") == {"flat", "blend"}
    assert time.process_time() - start < 5


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
