"""render-dataset with real Cycles, on small pictures."""

import argparse
import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

from near_core import image, mesh
from near_core.errors import NearError
from near_core.lab.datasets import cycles, picture_plan, render_dataset
from near_core.lab.datasets.dataset import Dataset
from near_core.lab.evaluation import metrics

pytestmark = pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="the Python package bpy is missing")
pytest.importorskip("trimesh")
pytest.importorskip("skimage")
pytest.importorskip("manifold3d")


def render(**options) -> int:
    parser = argparse.ArgumentParser()
    render_dataset.add_arguments(parser)
    words = []
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return render_dataset.run(parser.parse_args(words))


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Four maps of one size: a bright stripe each, at another azimuth."""
    folder = tmp_path_factory.mktemp("maps")
    for number in range(4):
        light = np.full((32, 64, 3), 0.1, np.float32)
        light[8:20, 16 * number:16 * number + 6] = (6, 5, 4)
        image.write_exr(folder / f"{number}.exr", {"Combined": np.concatenate([light, np.ones((32, 64, 1))], -1)})
    return folder


@pytest.fixture(scope="module")
def rendered(maps, tmp_path_factory):
    """Six procedural objects, four views, two lights and a uniform one, with G-buffers; in one worker."""
    out = tmp_path_factory.mktemp("sets") / "all"
    assert render(hdris=maps, out=out, procedural=6, seed=1, views=4, lights=2, uniform_light=True, gbuffer=True,
                  size=48, samples=8, threads=1) == 0
    return Dataset(out)


def test_every_picture_is_there_and_says_what_it_is(rendered):
    assert len(rendered.assets) == 6 and set(rendered.categories.values()) == {"procedural"}
    for asset in rendered.assets:
        views = rendered.views(asset)
        assert [v.n for v in views] == list(range(12))
        assert [v.role for v in views[::3]] == ["front", "orbit", "orbit", "close"]
        assert [v.hdri is None for v in views] == [False, False, True] * 4
        assert views[0].hdri != views[1].hdri and views[0].camera_json == views[2].camera_json
        assert 10 <= views[3].camera_json["fov_x_deg"] <= 90
        for view in views:
            assert view.image().shape == (48, 48, 4)
        assert views[0].image()[..., 3].max() > 0.99
        assert views[9].image()[..., 3].mean() > 0.1  # a close-up is not empty


def test_the_camera_sees_the_mesh_where_it_says(rendered):
    for asset in rendered.assets:
        view, points = rendered.view(asset, 3), rendered.mesh(asset).vertices
        camera = view.camera
        seen = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
        pixels = seen @ camera.intrinsics.T
        pixels = pixels[:, :2] / pixels[:, 2:]
        rows, columns = np.nonzero(view.image()[..., 3] > 0.5)
        assert np.abs(pixels.min(0) - (columns.min(), rows.min())).max() < 2.5
        assert np.abs(pixels.max(0) - (columns.max() + 1, rows.max() + 1)).max() < 2.5


def test_the_gbuffer_holds_the_materials_of_the_file(rendered):
    checked = 0
    for asset in rendered.assets:
        shape, passes = rendered.mesh(asset), rendered.view(asset, 0).passes()
        inside = passes["Combined"][..., 3] > 0.99
        distance = np.linalg.norm(rendered.view(asset, 0).camera.position)
        assert np.abs(np.median(passes["Depth"][inside]) - distance) < 1
        assert np.median(np.linalg.norm(passes["Normal"][inside], axis=-1)) == pytest.approx(1, abs=0.02)
        if all(m.roughness_map is None for m in shape.materials):
            known = np.array([m.roughness for m in shape.materials])
            error = np.abs(passes["Roughness"][inside] - known).min(-1)
            assert np.median(error) < 0.01
            checked += 1
    assert checked


def test_textures_belong_to_their_object(rendered):
    """Cycles keeps images between renders; the base colours of the last objects must be those of their own files."""
    for asset in rendered.assets:
        passes, shape = rendered.view(asset, 0).passes(), rendered.mesh(asset)
        colors = np.concatenate([
            image.srgb_decode(m.base_color_map[..., :3].reshape(-1, 3)[::7] / np.float32(255))
            if m.base_color_map is not None else np.array([m.base_color[:3]]) for m in shape.materials])
        seen = passes["Base Color"][passes["Combined"][..., 3] > 0.99]
        assert (seen > colors.min(0) - 0.03).all() and (seen < colors.max(0) + 0.03).all(), asset


def test_obj_files_of_any_depth_are_rendered(maps, tmp_path):
    """An .obj becomes a .glb of the set; holes, glass and a second of one name are left out. One that is damaged is
    named, and the rest goes on."""
    triangles = "v -2 0 -1\nv 2 0 -1\nv 0 3 0\nv 0 0 2\n" + "usemtl red\nf 1 2 3\nf 1 3 4\nf 2 4 3\nf 1 4 2\n"
    for name, material in (("a/cone", "Kd 0.6 0.1 0.1\nNs 40"), ("b/leaf", "Kd 0 1 0\nmap_d leaf.png"), ("c/bad", ""),
                           ("d/glass", "Kd 1 1 1\nd 0"), ("a_cone", "Kd 0 0 1")):
        path = tmp_path / "models" / f"{name}.obj"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"mtllib {path.stem}.mtl\n" + (triangles if material else "f 1 2 3\n"))
        path.with_suffix(".mtl").write_text(f"newmtl red\n{material}\n")
    out = tmp_path / "set"
    assert render(models=tmp_path / "models", hdris=maps, out=out, views=1, lights=1, gbuffer=True, size=32, samples=8,
                  threads=1) == 1
    data = Dataset(out)
    assert sorted(data.assets) == ["a_cone", "c_bad"] and not data.views("c_bad")
    assert data.unfinished == set(data.assets)
    shape, passes = data.mesh("a_cone"), data.views("a_cone")[0].passes()
    assert np.ptp(shape.vertices, 0) == pytest.approx([1, 0.75, 0.75])
    inside = passes["Combined"][..., 3] > 0.99
    assert inside.sum() > 20
    assert np.median(passes["Base Color"][inside], 0) == pytest.approx([0.6, 0.1, 0.1], abs=0.01)
    assert np.median(passes["Roughness"][inside]) == pytest.approx(shape.materials[0].roughness, abs=0.01) == 0.8


def test_lights_add_up(rendered, tmp_path):
    """A picture under the sum of two turned maps is the sum of the pictures: what training mixes is exact."""
    first, second = rendered.views(rendered.assets[0])[:2]
    u, v = np.meshgrid((np.arange(64) + 0.5) / 64, (np.arange(32) + 0.5) / 32)
    azimuth, elevation = (0.5 - u) * 2 * np.pi, (0.5 - v) * np.pi
    directions = np.stack([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)],
                          -1).astype(np.float32)
    light = first.environment().look_up(directions) + second.environment().look_up(directions)
    image.write_exr(tmp_path / "sum.exr", {"Combined": np.concatenate([light, np.ones_like(light[..., :1])], -1)})
    picture = dict(json.loads(first.path.with_suffix(".json").read_text()), hdri="sum.exr", hdri_rotation_deg=0.0,
                   gbuffer=False, camera=_planned(rendered, first)["camera"])
    plan = {"settings": {"resolution": 48, "samples": 64, "threads": 1, "hdris": str(tmp_path), "gbuffer": False},
            "jobs": [{"asset": first.asset, "model": str(rendered.model(first.asset)), "folder": str(tmp_path),
                      "pictures": [picture]}]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    subprocess.run([sys.executable, str(cycles.SCRIPT), str(tmp_path / "plan.json")], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    total = first.image() + second.image()
    # 8 samples against 64, and the turned maps are resampled; one of the two pictures alone is far off
    assert metrics.object_psnr(image.read(tmp_path / "0.exr"), total) > 28
    assert metrics.object_psnr(image.read(tmp_path / "0.exr"), first.image()) < 25


def _planned(data, view):
    parser = argparse.ArgumentParser()
    render_dataset.add_arguments(parser)
    args = parser.parse_args(["--hdris", "x", "--out", "x", "--seed", "1", "--views", "4", "--lights", "2",
                              "--uniform-light", "--gbuffer"])
    return picture_plan.plan_pictures(args, view.asset, [f"{i}.exr" for i in range(4)])[view.n]


def test_a_stopped_run_goes_on_and_shards_make_the_whole(rendered, maps, tmp_path):
    out = tmp_path / "again"
    options = dict(hdris=maps, out=out, procedural=6, seed=1, views=4, lights=2, uniform_light=True, gbuffer=True,
                   size=48, samples=8, threads=1)
    assert render(**options, shard="1/3") == 0
    first = {p for p in (out / "views").iterdir()}
    assert len(first) == 2
    gone = sorted(first)[0] / "4.json"
    gone.unlink()
    stamp = (sorted(first)[0] / "5.exr").stat().st_mtime_ns
    assert render(**options, shard="1/3") == 0
    assert gone.exists() and (sorted(first)[0] / "5.exr").stat().st_mtime_ns == stamp
    ours, theirs = Dataset(out).view(gone.parent.name, 4), rendered.view(gone.parent.name, 4)
    assert ours.camera_json == theirs.camera_json and ours.hdri.name == theirs.hdri.name
    assert metrics.psnr(ours.image(), theirs.image()) > 40  # rendered after other objects, and alone
    with pytest.raises(NearError, match="other options"):
        render(**{**options, "size": 64})


def test_a_users_folder_as_an_evaluation_set(maps, shared, tmp_path):
    """Any GLBs and maps; a broken file costs itself only; groups of another set are left out."""
    models = tmp_path / "models"
    models.mkdir()
    source = shared / "data" / "assets" / "models"
    for name in ("kd_chest_gold", "kh_suzanne", "kd_keg_decorated"):
        (models / f"{name}.glb").write_bytes((source / f"{name}.glb").read_bytes())
    (models / "broken.glb").write_bytes((source / "kh_suzanne.glb").read_bytes()[:2000])
    (models / "no model.glb").write_bytes(b"glTF")
    out = tmp_path / "set"
    status = render(models=models, hdris=maps, out=out, exclude=shared / "data" / "eval" / "meta.json",
                    layout="evaluation", size=48, samples=8, threads=1)
    data = Dataset(out)
    assert status == 1 and sorted(data.assets) == ["broken", "kd_chest_gold", "kh_suzanne"]
    assert data.views("broken") == []
    roles = [v.role for v in data.views("kh_suzanne")]
    assert roles == ["input", "relight", "novel", "novel", "novel", "homogenised"]
    assert "Base Color" in data.view("kh_suzanne", 0).passes()
    low, high = mesh.compute_bounds(data.mesh("kh_suzanne"))
    assert (high - low).max() == pytest.approx(1, abs=1e-5)


def test_mistakes_are_told_in_words(maps, tmp_path):
    with pytest.raises(NearError, match="nothing to render"):
        render(hdris=maps, out=tmp_path / "a")
    with pytest.raises(NearError, match="no .hdr"):
        render(hdris=tmp_path, out=tmp_path / "b", procedural=1)
    with pytest.raises(NearError, match="shard"):
        render(hdris=maps, out=tmp_path / "c", procedural=1, shard="3/3")
    with pytest.raises(NearError, match="no Blender"):
        render(hdris=maps, out=tmp_path / "d", procedural=1, blender=tmp_path / "missing")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for Blender")
def test_a_blender_that_cannot_render_is_told_once(maps, tmp_path):
    broken = tmp_path / "blender"
    broken.write_text("#!/bin/sh\necho 'Read prefs'\necho 'no display' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(NearError, match="no display"):
        render(hdris=maps, out=tmp_path / "set", procedural=3, blender=broken, size=16, samples=1)
