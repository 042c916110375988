"""Assets out again, from Blender: a mesh in the scene and as .glb, splats as .ply."""

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from near_blender import scratch
from near_blender.asset import baked_mesh
from near_blender.operators import bake
from near_blender.scene import lamp_nodes
from near_core import errors
from near_core import mesh as meshes
from near_core.create.create import create_from_mesh
from near_core.lab.bench.inputs import SAMPLES
from tests.attacks.hunt import is_said_well
from tests.blender import stage
from tests.blender.scene.test_lamp_nodes import add_by_direction


@pytest.fixture(scope="module")
def keg():
    return create_from_mesh(meshes.load(SAMPLES / "keg.glb"), name="Keg", normalize=True)


@pytest.fixture(scope="module")
def gltf_exporter():
    """Blender 4.2 dies when it ends with its panels registered."""
    bpy.ops.preferences.addon_enable(module="io_scene_gltf2")
    yield
    bpy.ops.preferences.addon_disable(module="io_scene_gltf2")


def stand(asset):
    scene = stage.make_stage(64, 48)
    stage.set_color(scene.world, (0.6, 0.6, 0.6))
    ob = stage.add_asset(asset, "Keg", (1, 2, 0.5))
    bpy.context.view_layer.objects.active = ob
    bpy.context.view_layer.update()
    return ob


def test_a_mesh_stands_where_its_asset_does(keg, tmp_path, gltf_exporter):
    glowing = tuple(replace(each, emission=(8, 4, 0)) for each in keg.skin.materials)
    source = stand(replace(keg, skin=replace(keg.skin, materials=glowing)))
    source.near.look.tint = 0.5, 1, 1
    assert bpy.ops.near.bake_mesh(filepath=str(tmp_path / "keg"), hide_source=True) == {"FINISHED"}
    ob = bpy.context.object
    assert ob is not source and ob.matrix_world == source.matrix_world and source.hide_render
    assert len(ob.data.polygons) == len(keg.skin.faces)
    low, high = np.array(ob.bound_box).min(0), np.array(ob.bound_box).max(0)
    assert (high - low).max() == pytest.approx(keg.extent, rel=1e-3)
    again = meshes.load(tmp_path / "keg.glb")
    assert len(again.faces) == len(keg.skin.faces)
    assert np.ptp(again.vertices, 0) == pytest.approx(high - low, rel=1e-3), "the file has the same size"
    assert again.materials[0].emission == pytest.approx((4, 4, 0), rel=1e-3), "dyed, too"


@pytest.mark.parametrize("scale", [2, -2])
def test_a_proxy_that_was_moved_in_itself_is_followed(keg, scale):
    """As From Mesh leaves it: the origin is its source's, the mesh turned and shifted."""
    source = stand(keg)
    source.data.transform(Matrix.Translation((0.3, 0, 1)) @ Matrix.Rotation(0.5, 4, "Z") @ Matrix.Scale(scale, 4))
    source.rotation_euler = 0.2, 0.4, 0
    assert bpy.ops.near.bake_mesh() == {"FINISHED"}
    ob, (low, high) = bpy.context.object, (np.array(source.bound_box).min(0), np.array(source.bound_box).max(0))
    assert np.allclose(ob.matrix_world, source.matrix_world, atol=1e-6)
    assert np.array(ob.bound_box).min(0) == pytest.approx(low, abs=0.03 * (high - low).max())
    assert np.array(ob.bound_box).max(0) == pytest.approx(high, abs=0.03 * (high - low).max())
    turned, flat = np.empty((2, 3 * len(ob.data.loops)), np.float32)
    ob.data.corner_normals.foreach_get("vector", turned)
    ob.data.polygons.foreach_get("normal", flat[:3 * len(ob.data.polygons)])
    smooth, face = turned.reshape(-1, 3, 3).mean(1), flat[:3 * len(ob.data.polygons)].reshape(-1, 3)
    assert np.median((smooth * face).sum(1)) > 0.9, "normals turn with it"


def test_what_has_no_skin_gets_maps(ball, tmp_path):
    stand(ball)
    assert bpy.ops.near.bake_mesh(side="1024") == {"FINISHED"}
    mesh = bpy.context.object.data
    assert mesh.uv_layers and len(mesh.materials) == 1
    images = {node.image for node in mesh.materials[0].node_tree.nodes if node.type == "TEX_IMAGE"}
    assert len(images) == 3 and all(image.packed_file for image in images)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "baked.blend"))


@pytest.mark.parametrize("name, path, words", [
    *((name, *told) for name in ("export_asset", "bake_splats")
      for told in (("", "No file is named"), ("//ball", "no folder yet"), ("/tmp/", "No file"))),
    ("bake_mesh", "//ball", "no folder yet"), ("bake_mesh", "/tmp/", "No file")])
def test_nothing_is_made_where_no_file_is_named(ball, tmp_path, monkeypatch, name, path, words):
    stage.make_stage()
    bpy.context.view_layer.objects.active = stage.add_asset(ball, "Ball")
    monkeypatch.chdir(tmp_path)
    before = list(bpy.data.objects)
    with pytest.raises(RuntimeError, match=words):
        getattr(bpy.ops.near, name)(filepath=path)
    assert not list(tmp_path.iterdir()) and list(bpy.data.objects) == before


def test_splats_and_what_cannot_be_baked(ball, tmp_path):
    ob = stand(ball)
    assert bpy.ops.near.bake_splats(filepath=str(tmp_path / "ball")) == {"FINISHED"}
    assert (tmp_path / "ball.ply").read_bytes().startswith(b"ply\nformat binary_little_endian")
    measure = lambda: np.ptp(np.array(ob.evaluated_get(bpy.context.evaluated_depsgraph_get()).bound_box), 0).max()
    rest = measure()
    bend = ob.modifiers.new("Bend", "SIMPLE_DEFORM")
    bend.deform_method, bend.deform_axis, bend.angle = "BEND", "X", 2.0
    bpy.context.view_layer.update()
    assert bpy.ops.near.bake_splats(filepath=str(tmp_path / "bent")) == {"FINISHED"}
    straight, bent = (_measure_splats(tmp_path / f"{name}.ply") for name in ("ball", "bent"))
    assert straight == pytest.approx(rest, rel=0.05)
    assert bent == pytest.approx(measure(), rel=0.05), "in metres, as what is seen"
    ob.modifiers.clear()
    ob.hide_set(True)
    with pytest.raises(RuntimeError, match="is hidden"):
        bpy.ops.near.bake_splats(filepath=str(tmp_path / "other"))
    bpy.context.view_layer.objects.active = None
    assert not bpy.ops.near.bake_mesh.poll()


def test_what_lamps_send_by_direction_is_waited_for(ball):
    ob = stand(ball)
    add_by_direction("SPOT").data.spot_size = 1.1  # as no other test has it
    first = bake.ask(bpy.context, ob, "splats")
    assert isinstance(first, lamp_nodes.PatternBake) and first.wait(60)
    job = bake.ask(bpy.context, ob, "splats")
    job.cancel()
    assert job.request["lamps"][0].pattern is not None


def _measure_splats(path) -> float:
    """The longest side, metres, of what a .ply file's splats cover."""
    head, _, body = path.read_bytes().partition(b"end_header\n")
    names = [line.split()[-1].decode() for line in head.splitlines() if line.startswith(b"property float")]
    rows = np.frombuffer(body, np.float32).reshape(-1, len(names))
    return float(np.ptp(rows[:, [names.index(axis) for axis in "xyz"]], axis=0).max())


def test_an_exported_asset_says_how_far_its_file_is_from_the_picture(ball, tmp_path, capfd):
    ob = stand(ball)
    assert bpy.ops.near.export_asset(filepath=str(tmp_path / "plain")) == {"FINISHED"}
    ob.near.look.tint = 0.2, 1, 1
    bpy.context.view_layer.update()
    assert bpy.ops.near.export_asset(filepath=str(tmp_path / "tinted")) == {"FINISHED"}
    assert (tmp_path / "plain.near").read_bytes() == (tmp_path / "tinted.near").read_bytes()
    said = capfd.readouterr().out
    assert "the same picture" in said.splitlines()[0] and "without its look" in said and " dB against" in said


@pytest.mark.parametrize("place", ["missing/a.glb", "x" * 300 + ".glb"])
def test_a_glb_that_cannot_be_written_is_said_in_a_sentence(tmp_path, place):
    bpy.ops.mesh.primitive_cube_add()
    with pytest.raises(errors.NearError, match=r"could not be written \([\w ]+\)\. Choose") as caught:
        baked_mesh.export_glb(tmp_path / place)
    assert is_said_well(caught.value) and not list(tmp_path.iterdir())


def test_what_blenders_exporter_cannot_do_is_said_in_a_sentence(tmp_path, monkeypatch):
    """It says so with a traceback."""
    bpy.ops.mesh.primitive_cube_add()
    folder = scratch.make_folder("glb")
    (Path(folder.name) / "baked.glb").mkdir()
    monkeypatch.setattr(scratch, "make_folder", lambda kind: folder)
    with pytest.raises(errors.NearError, match="could not be written.*Is a directory.*File Paths") as caught:
        baked_mesh.export_glb(tmp_path / "a.glb")
    assert is_said_well(caught.value) and "Traceback" not in str(caught.value) and not list(tmp_path.iterdir())
