"""What a written scene loses: put beside it, or told."""

import os
import sys
import tempfile

import bpy
import numpy as np
import pytest
import stage
from asking import full_disk
from PIL import Image

from near_blender import log
from near_blender.client import client, cycles_loss
from near_blender.cycles import scene as cycles_scene
from near_blender.shaders import image_files
from near_core import errors


@pytest.fixture
def scene():
    """A cube that shines as an image does, before black."""
    scene = stage.make_stage(16, 12)
    stage.set_color(scene.world, (0, 0, 0))
    bpy.ops.mesh.primitive_cube_add()
    return scene


def shine(image: bpy.types.Image) -> bpy.types.NodeTree:
    material = bpy.data.materials.new("Shining")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    nodes = [tree.nodes.new(f"ShaderNode{kind}") for kind in ("TexImage", "Emission", "OutputMaterial")]
    nodes[0].image = image
    tree.links.new(nodes[0].outputs[0], nodes[1].inputs[0])
    tree.links.new(nodes[1].outputs[0], nodes[2].inputs[0])
    bpy.context.object.data.materials.append(material)
    return tree


def draw(scene) -> tuple[np.ndarray, str]:
    state = cycles_scene.capture(bpy.context.evaluated_depsgraph_get())
    job = client.get_cycles().draw(state, cycles_scene.describe_camera_object(scene.camera), (16, 12), samples=1,
                                   denoise=False)
    return job.result()["passes"]["Combined"], job.warning


def test_painted_images_are_seen_before_they_are_saved(scene):
    image = bpy.data.images.new("Painted", 4, 4, float_buffer=True)
    image.pixels.foreach_set(np.tile(np.float32([0.25, 2, 0.5, 1]), 16))
    shine(image)
    picture, warning = draw(scene)
    assert picture[6, 8, :3] == pytest.approx([0.25, 2, 0.5], rel=0.01) and warning == ""


@pytest.mark.parametrize("is_float", [False, True])
def test_tiles_are_seen_before_they_are_saved(scene, is_float):
    bpy.ops.image.new(name="Tiles", width=4, height=4, tiled=True, float=is_float, color=(1, 1, 1, 1))
    image = bpy.data.images["Tiles"]
    image.colorspace_settings.name = "Non-Color"
    with bpy.context.temp_override(edit_image=image):
        bpy.ops.image.tile_add(number=1002, fill=True, width=4, height=4, float=is_float, color=(0, 1, 0, 1))
    image.pixels.foreach_set(np.tile(np.float32([0.2, 0, 0.6, 1]), 16))
    image.update()
    tree = shine(image)
    mapping, place, mix = (tree.nodes.new(f"ShaderNode{kind}") for kind in ("Mapping", "TexCoord", "MixRGB"))
    beside = tree.nodes.new("ShaderNodeTexImage")
    beside.image, mapping.inputs["Location"].default_value = image, (1, 0, 0)
    mix.blend_type, mix.inputs[0].default_value = "ADD", 1
    first, emission = (next(n for n in tree.nodes if n.type == kind) for kind in ("TEX_IMAGE", "EMISSION"))
    for start, end in ((place.outputs["UV"], mapping.inputs[0]), (mapping.outputs[0], beside.inputs[0]),
                       (first.outputs[0], mix.inputs[1]), (beside.outputs[0], mix.inputs[2]),
                       (mix.outputs[0], emission.inputs[0])):
        tree.links.new(start, end)
    picture, warning = draw(scene)
    if image_files.copies_tiles():
        assert picture[6, 8, :3] == pytest.approx([0.2, 1, 0.6], abs=0.005) and warning == ""
    else:
        assert "are drawn pink: Tiles." in warning
    assert image.is_dirty and not image.packed_files and image.filepath == "", "the artist's own stays as it was"


def save(path, color) -> None:
    Image.new("RGB", (4, 4), color).save(path)


def test_the_frame_of_a_sequence_is_seen_as_another_program_has_saved_it(scene, tmp_path):
    """Other frames are no reason to hand a scene over again."""
    for number, color in ((1, (255, 255, 0)), (2, (255, 0, 0)), (3, (0, 0, 255))):
        save(tmp_path / f"wall{number}.png", color)
    image = bpy.data.images.load(str(tmp_path / "wall1.png"))
    image.source = "SEQUENCE"
    user = next(node for node in shine(image).nodes if node.type == "TEX_IMAGE").image_user
    user.frame_duration, user.frame_start, user.frame_offset = 2, 5, 1
    keys = []

    def look(frame) -> list[float]:
        scene.frame_set(frame)
        keys.append(cycles_scene.capture(bpy.context.evaluated_depsgraph_get()).fields["scene"])
        return draw(scene)[0][6, 8, :2].round().tolist()

    assert look(5) == look(5) == [1, 0] and look(6) == [0, 0] and len(set(keys)) == 1
    for number, frame, before in ((3, 6, [0, 0]), (2, 5, [1, 0])):
        assert look(frame) == before
        save(tmp_path / f"wall{number}.png", (0, 255, 0))
        os.utime(tmp_path / f"wall{number}.png", ns=(number * 10**9,) * 2)
        assert look(frame) == [0, 1]


@pytest.mark.skipif(not sys.platform.startswith("linux") or bpy.app.version < (4, 3), reason="limits files as Linux")
@pytest.mark.parametrize("is_float", [False, True])
def test_halves_of_tiles_are_not_handed_over_where_the_disk_is_full(is_float):
    bpy.ops.image.new(name="Tiles", width=256, height=256, tiled=True, float=is_float)
    image = bpy.data.images["Tiles"]
    image.pixels.foreach_set(np.random.default_rng(0).random(256 * 256 * 4, np.float32))
    image.use_fake_user = True
    with full_disk(20_000):
        assert cycles_loss.collect_painted([image]) == [{"name": "Tiles", "files": {}}]
    assert "Tiles of the image Tiles could not be handed over" in log.get_text()
    [whole] = cycles_loss.collect_painted([image])
    assert len(whole["files"]) == 1


def test_lost_images_are_named(scene):
    image = bpy.data.images.new("Gone", 4, 4)
    image.source, image.filepath = "FILE", "//nowhere/gone.png"
    shine(image)
    picture, warning = draw(scene)
    assert "are drawn pink: Gone." in warning and picture[6, 8, 0] > picture[6, 8, 1], "pink, as in Cycles"


def test_python_drivers_are_named(scene):
    cube = bpy.context.object
    cube.driver_add("location", 0).driver.expression = "frame * 0"
    assert cycles_loss.describe(scene) == ""
    cube.driver_add("location", 1).driver.expression = "[0 for _ in 'a'][0]"
    assert "values of Cube stay" in cycles_loss.describe(scene)


def test_no_room_for_a_scene_is_an_error_in_words(scene, monkeypatch):
    cycles_scene.forget()
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(errors.NearError, match="could not be handed.*File Paths"):
        cycles_scene.capture(bpy.context.evaluated_depsgraph_get())


def test_a_folder_whose_path_is_too_long_for_blender_is_said(scene, tmp_path, monkeypatch):
    """It would write to the first thousand bytes of the path."""
    cycles_scene.forget()
    folder = tmp_path.joinpath(*["long" * 50] * 5)
    folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(errors.NearError, match="path of the folder is too long for Blender.*File Paths"):
        cycles_scene.capture(bpy.context.evaluated_depsgraph_get())
    assert not list(folder.iterdir())
