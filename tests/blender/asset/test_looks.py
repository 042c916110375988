"""The look in Blender: keyframes, drivers, instances, and what it does to the light around an asset."""

import bpy
import numpy as np
import pytest
import stage

from near_blender.asset import looks
from near_blender.scene import sync
from near_core.scene import AssetLook


@pytest.fixture
def scene(ball):
    scene = stage.make_stage(48, 36)
    stage.set_color(scene.world, (0.6, 0.6, 0.6))
    stage.add_asset(ball)
    scene.near.samples, scene.near.denoise = 4, False
    return scene


def read() -> list[AssetLook]:
    return [each["look"] for each in sync.collect_assets(bpy.context.evaluated_depsgraph_get()).instances]


def test_keyframes_drivers_and_instances_are_followed(scene):
    ob = bpy.data.objects["Asset"]
    look = ob.near.look
    look.roughness = 0.5
    for frame, value in ((1, 0.0), (11, 1.0)):
        look.saturation = value
        ob.keyframe_insert("near.look.saturation", frame=frame)
    driver = ob.driver_add("near.look.tint", 1).driver
    driver.expression = "frame / 20"
    scene.frame_set(6)
    [found] = read()
    assert found.saturation == pytest.approx(0.5, abs=0.02) and found.roughness == pytest.approx(0.5)
    assert found.tint == pytest.approx((1, 0.3, 1), abs=1e-3)
    group = bpy.data.collections.new("Group")
    scene.collection.children.link(group)
    scene.collection.objects.unlink(ob)
    group.objects.link(ob)
    empty = bpy.data.objects.new("Empty", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", group
    scene.collection.objects.link(empty)
    bpy.context.view_layer.update()
    assert read() == [found, found]


def test_overrides_and_files_keep_it(scene, tmp_path):
    bpy.data.objects["Asset"].near.look.hue = 0.25
    bpy.data.libraries.write(str(tmp_path / "library.blend"), {bpy.data.objects["Asset"]})
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (there, here):
        here.objects = list(there.objects)
    ob = here.objects[0].override_create()
    bpy.context.scene.collection.objects.link(ob)
    ob.near.look.exposure = 2
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    look = looks.read(bpy.context.scene.objects[0])
    assert (look.hue, look.exposure) == (0.25, 2)


def test_the_light_around_follows(scene, tmp_path):
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.7))
    ob = bpy.data.objects["Asset"]
    made = {}
    for name, changes in {"plain": {}, "green": {"tint": (0, 1, 0)}, "faded": {"opacity": 0.3}, "again": {}}.items():
        for key in looks.NAMES:
            ob.near.look.property_unset(key)
        for key, value in changes.items():
            setattr(ob.near.look, key, value)
        made[name] = stage.render(scene, tmp_path)["Combined"]
    floor = slice(26, 29), slice(20, 28)  # below the ball, where the red one shines and shadows
    share = {name: picture[floor][..., 0].mean() / picture[floor][..., 1].mean() for name, picture in made.items()}
    light = {name: picture[floor].mean() for name, picture in made.items()}
    assert share["green"] < 0.99 * share["plain"], "a green ball bounces green light"
    assert light["faded"] > 1.05 * light["plain"], "a faded ball casts a faded shadow"
    np.testing.assert_allclose(made["again"], made["plain"], atol=1e-4)
    assert made["green"][18, 24, 0] < 0.5 * made["plain"][18, 24, 0]


def test_presets_set_the_scene(scene):
    from near_blender.operators import presets
    new = bpy.data.scenes.new("New")
    assert presets.find_preset(new) == "PREVIEW"
    new.cycles.samples = 100
    assert presets.find_preset(new) == ""
    for key in presets.PRESETS:
        assert bpy.ops.near.apply_preset(preset=key) == {"FINISHED"}
        assert presets.find_preset(scene) == key
    assert (scene.near.quality, scene.near.samples) == ("FINAL", 128)
