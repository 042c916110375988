"""When a scene is written anew for the second Blender, and when its pose is enough."""

from pathlib import Path

import bpy
import pytest
import stage

from near_blender.cycles import scene as cycles_scene


@pytest.fixture
def scene(tmp_path):
    scene = stage.make_stage()
    bpy.ops.mesh.primitive_cube_add()
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    scene.collection.objects.link(lamp)
    scene.collection.children.link(bpy.data.collections.new("Inner"))
    bpy.data.worlds.new("Other")
    bpy.data.materials.new("Clay")
    bpy.context.object.data.materials.append(bpy.data.materials.new("Skin"))
    ask(bpy.data.materials["Clay"])
    scene["moving"], scene["weather"] = 1.0, {"rain": 0.0, "snow": 0.0}
    for frame in (1, 9):
        scene["moving"] = float(frame)
        scene.keyframe_insert('["moving"]', frame=frame)
    for name in ("Painted", "Saved"):
        image = bpy.data.images.new(name, 2, 2)
        image.use_fake_user = True
    image.filepath_raw = str(tmp_path / "saved.png")
    image.save()
    return scene


def ask(material) -> None:
    """Has a material ask for properties of scene and view layer."""
    material.use_nodes = True
    node = material.node_tree.nodes.new("ShaderNodeAttribute")
    node.attribute_type, node.attribute_name = "VIEW_LAYER", "tint"
    roughness = material.node_tree.nodes["Principled BSDF"].inputs["Roughness"]
    driven = roughness.driver_add("default_value").driver
    for path in ('["wetness"]', '["moving"]', '["6\\" pipe"]', '["weather"]["rain"]'):
        read = driven.variables.new()
        read.targets[0].id_type, read.targets[0].id = "SCENE", bpy.context.scene
        read.targets[0].data_path = path


def key() -> str:
    return cycles_scene.capture(bpy.context.evaluated_depsgraph_get()).fields["scene"]


def paint() -> None:
    bpy.data.images["Painted"].pixels.foreach_set([0.5] * 16)


CHANGES = {
    "mesh": lambda scene: setattr(bpy.data.meshes["Cube"].vertices[0].co, "x", 3) or bpy.data.meshes["Cube"].update(),
    "power": lambda scene: setattr(bpy.data.lights["Lamp"], "energy", 3),
    "ray visibility": lambda scene: setattr(bpy.data.objects["Cube"], "visible_glossy", False),
    "pass index": lambda scene: setattr(bpy.data.objects["Cube"], "pass_index", 2),
    "colour": lambda scene: setattr(bpy.data.objects["Cube"], "color", (1, 0, 0, 1)),
    "material": lambda scene: bpy.data.objects["Cube"].data.materials.append(bpy.data.materials.new("Red")),
    "another shape": lambda scene: setattr(bpy.data.objects["Cube"], "data", bpy.data.meshes.new("Empty")),
    "hidden": lambda scene: setattr(bpy.data.objects["Cube"], "hide_render", True),
    "another object": lambda scene: bpy.ops.mesh.primitive_plane_add(),
    "removed": lambda scene: bpy.data.objects.remove(bpy.data.objects["Cube"]),
    "World": lambda scene: setattr(scene, "world", bpy.data.worlds["Other"]),
    "one material for all": lambda scene: setattr(
        scene.view_layers[0], "material_override", bpy.data.materials["Clay"]),
    "a material for all that is there already": lambda scene: setattr(
        scene.view_layers[0], "material_override", bpy.data.materials["Skin"]),
    "name of a view layer": lambda scene: setattr(scene.view_layers[0], "name", "Beauty"),
    "parent, which a Cryptomatte names": lambda scene: setattr(
        bpy.data.objects["Cube"], "parent", bpy.data.objects["Lamp"]),
    "an AOV": lambda scene: scene.view_layers[0].aovs.add(),
    "modifier": lambda scene: bpy.data.objects["Cube"].modifiers.new("Bevel", "BEVEL"),
    "holdout": lambda scene: setattr(bpy.context.view_layer.layer_collection.children[0], "holdout", True),
    "a number of the scene that a driver reads": lambda scene: scene.__setitem__("wetness", 0.5),
    "one whose name has a quote": lambda scene: scene.__setitem__('6" pipe', 0.5),
    "one in a group": lambda scene: scene["weather"].__setitem__("rain", 0.5),
    "three of a view layer that a material asks for": lambda scene: scene.view_layers[0].__setitem__(
        "tint", (1.0, 0.5, 0.0)),
    "Cycles' bounces": lambda scene: setattr(scene.cycles, "max_bounces", 2),
    "Cycles' settings of a lamp": lambda scene: setattr(bpy.data.lights["Lamp"].cycles, "max_bounces", 2),
    "painted image": lambda scene: paint(),
    "an image that another program has saved": lambda scene: Path(bpy.data.images["Saved"].filepath).write_bytes(b"1"),
}
POSES = {
    "place": lambda scene: setattr(bpy.data.objects["Cube"].location, "x", 3),
    "place of a lamp": lambda scene: setattr(bpy.data.objects["Lamp"].location, "x", 3),
    "lens": lambda scene: setattr(scene.camera.data, "lens", 20),
    "selection": lambda scene: bpy.data.objects["Cube"].select_set(False),
    "size": lambda scene: setattr(scene.render, "resolution_x", 99),
    "frame, by which a property that a driver reads changes": lambda scene: scene.frame_set(7),
    "a number of the scene that nobody asks for": lambda scene: scene.__setitem__("written by an add-on", 0.5),
    "one in a group that nobody asks for": lambda scene: scene["weather"].__setitem__("snow", 0.5),
    "samples": lambda scene: setattr(scene.cycles, "samples", 7),
    "denoised as before": lambda scene: setattr(scene.cycles, "use_denoising", scene.cycles.use_denoising),
}


@pytest.mark.parametrize("name", [*CHANGES, *POSES])
def test_a_scene_is_written_when_more_than_its_pose_changed(scene, name):
    before = key()
    assert key() == before
    (CHANGES | POSES)[name](scene)
    assert (key() != before) == (name in CHANGES)


def test_another_file_is_another_scene(scene):
    before = key()
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    assert key() != before
