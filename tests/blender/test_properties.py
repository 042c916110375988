"""near_blender.properties: whatever a file holds in their place, a picture is drawn or refused in words."""

import math
import random
from pathlib import Path

import bpy
import pytest
import stage

from near_blender.operators import scene_photos
from near_core.errors import NearError
from tests.blender.operators.test_photos import save_egg
from tests.blender.operators.test_scene_photos import add_camera, add_row

HOSTILE = (-1, 2**31 - 1, 99, 1e30, -1e30, float("nan"), float("inf"), "x", "", [1.0, 2.0], {"a": 1}, True)


def open_bag(owner) -> dict:
    """Where Blender keeps what an add-on's properties hold, whatever their types say."""
    bag = owner.bl_system_properties_get(do_create=True) if hasattr(owner, "bl_system_properties_get") else owner
    if "near" not in bag:
        bag["near"] = {}
    return bag["near"]


def open_group(owner, group: str | None) -> dict:
    """The bag of one group of an object's properties; what was put in its place before makes way."""
    bag = open_bag(owner)
    if group is None:
        return bag
    if not hasattr(bag.get(group), "keys"):
        bag[group] = {}
    return bag[group]


def list_places(ob) -> list[tuple]:
    """Every property of ours in the scene, its World, a view layer and an asset's object: owner, group and name."""
    scene = bpy.context.scene
    places = [(owner, None, name) for owner in (scene, scene.world, scene.view_layers[0], ob)
              for name in owner.near.bl_rna.properties.keys() if name not in ("rna_type", "name")]
    return places + [(ob, group, name) for group in ("look", "origin")
                     for name in getattr(ob.near, group).bl_rna.properties.keys() if name not in ("rna_type", "name")]


@pytest.mark.parametrize("count", [25, pytest.param(600, marks=pytest.mark.slow)])
def test_properties_of_other_types_and_values(ball, count):
    scene, rng = stage.make_stage(16, 12), random.Random(count)
    ob = stage.add_asset(ball)
    places = list_places(ob)
    assert len(places) > 30
    for owner, group, name in rng.choices(places, k=count):
        bag, value = open_group(owner, group), rng.choice(HOSTILE)
        kept = bag.pop(name, None)
        bag[name] = value
        scene.update_tag(), ob.update_tag()
        try:
            bpy.ops.render.render()
        except RuntimeError as error:
            assert "NeAR failed" not in str(error) and str(error).strip().endswith("."), (name, value, str(error))
        bag = open_group(owner, group)
        bag.pop(name, None)
        if kept is not None:
            bag[name] = kept
    bpy.ops.render.render()


@pytest.mark.parametrize("place, name, value", [
    ("behind", "rotation", math.inf), ("render", "pixel_aspect_x", math.nan), ("user", "frame_offset", 2**31 - 1)])
def test_photos_behind_cameras_with_numbers_that_nobody_would_type(tmp_path, place, name, value):
    ob, scene, path = add_camera("Solved", (3, -4, 2), (1, 1, 0.5)), bpy.context.scene, save_egg(tmp_path / "a1.png")
    behind = ob.data.background_images.new()
    behind.image = bpy.data.images.load(path)
    behind.image.source = "SEQUENCE"
    setattr({"behind": behind, "render": scene.render, "user": behind.image_user}[place], name, value)
    told = add_row(bpy.data.objects.new("Owner", None), path, ob)
    scene_photos.list_backgrounds(scene)
    if place != "user":
        with pytest.raises(NearError, match="Solved has a number that is endless"):
            scene_photos.take_camera(told, Path(path), scene)
