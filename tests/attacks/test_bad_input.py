"""Hostile and broken input at the command line: one clear sentence or a sensible picture, and never a broken file."""

import json
import resource
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from near_core import asset, image, mesh
from near_core.commands.cli import main
from tests.machine import slowness

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--size", "32x24"]


def failure(capsys, *argv) -> str:
    """The one line of a command that must fail with status 2 and name no exception."""
    assert main([str(word) for word in argv]) == 2, argv
    lines = capsys.readouterr().err.strip().splitlines()
    said = [line for line in lines if line.startswith("near_core: ")]
    assert len(said) == 1 and said[0] == lines[-1] and "fault of NeAR" not in said[0] and "Traceback" not in said[0]
    assert said[0].count(". ") >= 1 and said[0].endswith("."), "what is wrong, and what to do"
    return said[0]


@pytest.fixture(scope="module")
def box() -> trimesh.Trimesh:
    return trimesh.creation.box((0.4, 0.3, 0.2))


@pytest.fixture(scope="module")
def good(box, tmp_path_factory):
    """One intact file of each kind, by suffix."""
    folder = tmp_path_factory.mktemp("good")
    box.export(folder / "box.glb")
    assert main(["create", "--mesh", str(folder / "box.glb"), "--out", str(folder / "box.near")]) == 0
    made = asset.load(folder / "box.near")
    np.savez(folder / "box.npz", coords=made.coords.astype(np.int32), feats=made.slat[:, :8].astype(np.float32))
    rng = np.random.default_rng(0)
    image.write_exr(folder / "sky.exr", {"Combined": rng.random((16, 32, 4)).astype(np.float32)})
    picture = np.zeros((48, 48, 4), np.float32)
    picture[12:36, 12:36] = 1
    image.write_png(folder / "photo.png", picture * rng.uniform(0.3, 1, (48, 48, 1)).astype(np.float32))
    return {path.suffix: path for path in folder.iterdir()}


def command(kind: str, path: Path, good, out: Path) -> list:
    """What reads a file of this kind."""
    if kind in (".near", ".npz"):
        return ["render", "--asset", path, "--env", "1,1,1", *SMALL, "--out", out / "out.exr"]
    if kind == ".exr":
        return ["render", "--asset", good[".near"], "--env", path, *SMALL, "--out", out / "out.exr"]
    return ["create", "--image" if kind == ".png" else "--mesh", path, "--out", out / "out.near"]


def damaged(data: bytes, way: str) -> bytes:
    rng = np.random.default_rng(len(data))
    if way == "noise":
        return rng.integers(0, 256, len(data), dtype=np.uint8).tobytes()
    if way == "other":
        return b"<html><body>404 Not Found</body></html>"
    if way == "header":  # sizes that lie
        return data[:8] + b"\xff" * 8 + data[16:]
    return data[:int(len(data) * float(way))]


@pytest.mark.parametrize("way", ["0", "0.01", "0.3", "0.97", "noise", "other", "header"])
@pytest.mark.parametrize("kind", [".near", ".npz", ".exr", ".png", ".glb"])
def test_corrupt_and_truncated_files_are_named(good, tmp_path, capsys, kind, way):
    if (kind, way) == (".npz", "header"):
        pytest.skip("a zip file keeps what it holds twice, and the other copy is read")
    bad = tmp_path / f"bad{kind}"
    bad.write_bytes(damaged(good[kind].read_bytes(), way))
    assert "bad" in failure(capsys, *command(kind, bad, good, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [bad.name], "nothing half written stays behind"


@pytest.mark.parametrize("kind", [".near", ".npz", ".exr", ".png", ".glb"])
def test_folders_and_missing_files_are_named(good, tmp_path, capsys, kind):
    (tmp_path / f"folder{kind}").mkdir()
    for name in (f"folder{kind}", f"nowhere{kind}"):
        assert name in failure(capsys, *command(kind, tmp_path / name, good, tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="takes a file of Linux that cannot be read")
@pytest.mark.parametrize("kind", [".near", ".npz", ".exr", ".hdr", ".png", ".glb", ".obj", ".ply"])
def test_a_drive_that_fails_while_it_is_read_is_said(good, tmp_path, capsys, kind):
    """As one in a network may: the file is there and opens, reading ends with an input/output error."""
    (tmp_path / f"far{kind}").symlink_to("/proc/self/mem")
    reader = {".hdr": ".exr", ".obj": ".glb", ".ply": ".glb"}.get(kind, kind)
    said = failure(capsys, *command(reader, tmp_path / f"far{kind}", good, tmp_path))
    assert f"far{kind}" in said and ("Input/output error" in said or "damaged" in said)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("pixels", [(1, 1), (2, 20_000), (20_000, 2)])
def test_lights_of_one_and_of_twenty_thousand_pixels(good, tmp_path, pixels):
    sky = np.full((*pixels, 4), 0.5, np.float32)
    sky[0, 0, :3] = np.nan, np.inf, -1
    sky[-1, -1, :3] = 1e9
    image.write_exr(tmp_path / "sky.exr", {"Combined": sky})
    assert main([str(w) for w in command(".exr", tmp_path / "sky.exr", good, tmp_path)]) == 0
    picture = image.read(tmp_path / "out.exr")
    assert np.isfinite(picture).all() and picture.min() >= 0 and picture[..., 3].max() > 0.9


def test_photos_of_one_pixel_and_without_an_object(tmp_path, capsys):
    pictures = {"pixel": np.zeros((1, 1, 4)), "clear": np.zeros((300, 300, 4)),
                "wide": np.zeros((2, 20_000, 4)), "tall": np.zeros((20_000, 2, 4))}
    for name, picture in pictures.items():
        path = tmp_path / f"{name}.png"
        image.write_png(path, picture.astype(np.float32))
        said = failure(capsys, "create", "--image", path, "--out", tmp_path / "out.near")
        assert "object" in said
    assert not (tmp_path / "out.near").exists()


def test_meshes_without_faces_points_or_size(tmp_path, capsys):
    empty = b"ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\nproperty float z\n" \
            b"element face 0\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "empty.ply").write_bytes(empty)
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    (tmp_path / "flat.obj").write_text("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n")  # scaled to nothing
    (tmp_path / "lost.obj").write_text("v nan 0 0\nv 1 0 0\nv 0 inf 0\nf 1 2 3\n")
    (tmp_path / "wrong.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n")
    for path in sorted(tmp_path.iterdir()):
        assert path.name in failure(capsys, "create", "--mesh", path, "--out", tmp_path / "out.near")


def test_a_texture_without_uvs_and_no_material_at_all_give_an_asset(box, tmp_path):
    """Both are drawn in one colour."""
    box.export(tmp_path / "plain.glb")
    tree, chunk = gltf_parts((tmp_path / "plain.glb").read_bytes())
    tree.pop("materials", None)
    for primitive in tree["meshes"][0]["primitives"]:
        primitive.pop("material", None)
        primitive["attributes"].pop("TEXCOORD_0", None)
    (tmp_path / "bare.glb").write_bytes(gltf_bytes(tree, chunk))
    pixel = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGA"
             "hKmMIQAAAABJRU5ErkJggg==")
    tree["images"], tree["textures"] = [{"uri": pixel}], [{"source": 0}]
    tree["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
    tree["meshes"][0]["primitives"][0]["material"] = 0
    (tmp_path / "no_uv.glb").write_bytes(gltf_bytes(tree, chunk))
    for name in ("bare", "no_uv"):
        assert main(["create", "--mesh", str(tmp_path / f"{name}.glb"), "--out", str(tmp_path / f"{name}.near")]) == 0
        colors = asset.load(tmp_path / f"{name}.near").surfels.base_color
        assert np.isfinite(colors).all() and np.ptp(colors, axis=0).max() < 1e-3


@pytest.mark.parametrize("material, corners", [
    ("Kd nan inf -1\nPr nan\nPm 1e300\nd 7", "vt 0 0"), ("Kd 1 1 1", "vt nan inf"), ("Kd 1 1 1", "vt 1e30 -1e30"),
    ("Kd 1e38 0 0\nNs -5", "vn nan inf 0\nvt 0 0")])
def test_numbers_that_no_surface_has_give_an_asset_that_opens(tmp_path, material, corners):
    """What is made is read again, whatever the mesh says of its material and its corners."""
    (tmp_path / "a.mtl").write_text(f"newmtl a\n{material}\n")
    (tmp_path / "a.obj").write_text(f"mtllib a.mtl\nusemtl a\nv 0 0 0\nv 1 0 0\nv 0 1 0\n{corners}\nf 1/1 2/1 3/1\n")
    assert main(["create", "--mesh", str(tmp_path / "a.obj"), "--out", str(tmp_path / "a.near")]) == 0
    made = asset.load(tmp_path / "a.near")
    assert made.skin is not None and all(np.isfinite(part).all() for part in (made.skin.uv, made.surfels.base_color,
                                                                             made.surfels.roughness))


def gltf_parts(data: bytes) -> tuple[dict, bytes]:
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20:20 + length]), data[20 + length:]


def gltf_bytes(tree: dict, rest: bytes) -> bytes:
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + rest
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


@pytest.mark.parametrize("matrix", [np.zeros(16), np.diag([0, 1, 1, 1]), np.diag([1e-12, 1, 1, 1]),
                                    np.diag([1e9, 1e9, 1e9, 1])])
def test_zero_and_absurd_scales_give_a_finite_picture(good, tmp_path, matrix):
    argv = ["render", "--asset", good[".near"], "--matrix", *np.ravel(matrix), "--env", "1,1,1", *SMALL,
            "--passes", "all", "--out", tmp_path / "out.exr"]
    assert main([str(word) for word in argv]) == 0
    assert all(np.isfinite(values).all() for values in image.read_layers(tmp_path / "out.exr").values())


@pytest.mark.parametrize("number, wrong", [("nan", "'nan' is no number"), ("1e30", "too large")])
def test_a_matrix_of_no_usable_numbers_is_refused(good, tmp_path, capsys, number, wrong):
    said = failure(capsys, "render", "--asset", good[".near"], "--matrix", *[number] * 16, "--env", "1,1,1", *SMALL,
                   "--out", tmp_path / "out.exr")
    assert "--matrix" in said and wrong in said and not (tmp_path / "out.exr").exists()


@pytest.mark.parametrize("view", [
    {}, {"matrix_world": np.eye(4).tolist()}, {"matrix_world": [[1]], "fov_x_deg": 40, "resolution": 32},
    {"matrix_world": np.zeros((4, 4)).tolist(), "fov_x_deg": 40, "resolution": 32},
    {"matrix_world": np.eye(4).tolist(), "fov_x_deg": 0, "resolution": 32},
    {"matrix_world": np.eye(4).tolist(), "fov_x_deg": 180, "resolution": 32},
    {"matrix_world": np.eye(4).tolist(), "fov_x_deg": 1e400, "resolution": 32},
    {"matrix_world": np.eye(4).tolist(), "fov_x_deg": 40, "resolution": 0},
    {"matrix_world": np.eye(4).tolist(), "fov_x_deg": 40, "resolution": [32, -5]},
    {"matrix_world": np.eye(4).tolist(), "fov_x_deg": 40, "resolution": 10**9},
    {"matrix_world": np.eye(4).tolist(), "fov_x_deg": 40, "resolution": "big"},
    {"matrix_world": np.eye(4).tolist(), "fov_x_deg": 40, "resolution": 0.5},
    {"matrix_world": np.eye(4).tolist(), "type": "ORTHO", "ortho_scale": 0, "resolution": 32},
    {"matrix_world": np.eye(4).tolist(), "type": "ORTHO", "ortho_scale": -1, "resolution": 32},
    {"matrix_world": np.eye(4).tolist(), "fov_x_deg": 40, "resolution": 32, "clip": [5, 1]},
    {"matrix_world": np.eye(4).tolist(), "fov_x_deg": 40, "resolution": 32, "clip": [0, "far"]},
])
def test_cameras_that_see_nothing_sensible(good, tmp_path, capsys, view):
    (tmp_path / "camera.json").write_text(json.dumps(view))
    failure(capsys, "render", "--asset", good[".near"], "--env", "1,1,1", "--camera", tmp_path / "camera.json",
            "--out", tmp_path / "out.exr")
    assert not (tmp_path / "out.exr").exists()


def test_an_asset_of_a_model_that_is_not_here_is_drawn_from_its_material(good, tmp_path, capsys):
    other = replace(asset.load(good[".near"]), surfels=None, model_hash="another", slat=np.zeros((1, 0), np.float16))
    other = replace(other, slat=np.zeros((len(other.coords), 5), np.float16))
    for name, model in (("mini", "near-mini"), ("full", "near")):
        asset.save(replace(other, model=model), tmp_path / f"{name}.near")
        argv = command(".near", tmp_path / f"{name}.near", good, tmp_path)
        assert main([str(word) for word in argv]) == 0
        assert image.read(tmp_path / "out.exr")[..., 3].max() > 0.7
    assert "published model" in capsys.readouterr().err


def test_more_triangles_than_are_read_are_counted_first(monkeypatch, box):
    monkeypatch.setattr("near_core.mesh.mesh.MAX_TRIANGLES", 5)
    from near_core.errors import NearError
    with pytest.raises(NearError, match="triangles"):
        mesh.check(mesh.Mesh(box.vertices.astype(np.float32), box.faces.astype(np.int32)))


@pytest.mark.slow
def test_ten_million_triangles(tmp_path):
    """A binary .ply of 10 million triangles: an asset in minutes and a few GB, or one sentence."""
    side = 2237
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, side, dtype=np.float32), np.linspace(-0.5, 0.5, side, dtype=np.float32))
    points = np.stack([x, y, 0.1 * np.sin(20 * x) * np.cos(20 * y)], -1).reshape(-1, 3).astype("<f4")
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).reshape(-1)
    faces = np.concatenate([corner[:, None] + [0, 1, side], corner[:, None] + [1, side + 1, side]]).astype("<i4")
    rows = np.empty(len(faces), [("count", "u1"), ("vertex", "<i4", 3)])
    rows["count"], rows["vertex"] = 3, faces
    with open(tmp_path / "big.ply", "wb") as file:
        file.write(f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\nproperty float x\n"
                   f"property float y\nproperty float z\nelement face {len(faces)}\n"
                   "property list uchar int vertex_indices\nend_header\n".encode())
        file.write(points.tobytes() + rows.tobytes())
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "near_core", "create", "--mesh", str(tmp_path / "big.ply"), "--out",
                           str(tmp_path / "big.near")], cwd=ROOT, capture_output=True, text=True)
    took, peak = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"{len(faces)} triangles: {took:.0f} s, {peak:.1f} GB")
    assert done.returncode in (0, 2) and "Traceback" not in done.stderr and "fault" not in done.stderr, done.stderr
    assert took < 600 * slowness() and peak < 8
