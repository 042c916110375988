"""An asset that takes the place of an object goes where that goes, and has its settings."""

import bpy
import numpy as np
import pytest

from near_blender.operators import place
from near_blender.references import Reference
from near_core import asset as assets

FRAMES = 1, 7, 20


@pytest.fixture
def box():
    bpy.ops.mesh.primitive_cube_add(size=0.4)
    return bpy.context.object


@pytest.fixture
def make_asset(ball):
    def make(source, beside: bool = False) -> bpy.types.Object:
        """An asset for a source, as where its surface has become one."""
        ob = place.place_asset(bpy.context, ball, assets.to_bytes(ball))
        place.stand_for(bpy.context, ob, place.MeshSource(Reference.to_object(source), np.eye(4), 0.4,
                                                          np.array(source.matrix_world), beside))
        return ob
    return make


def push_action(ob, tweaked: bool = False) -> None:
    """Has an NLA strip do what its keys did, twice as slowly. tweaked: whether an artist edits it."""
    moves = ob.animation_data
    track = moves.nla_tracks.new()
    strip = track.strips.new("Slow", 1, moves.action)
    strip.scale = 2
    moves.action = None
    track.select = strip.select = True
    moves.use_tweak_mode = tweaked


@pytest.mark.parametrize("pushed", [False, True])
def test_what_is_keyed_driven_and_held_moves_on(box, make_asset, pushed):
    pivot = bpy.data.objects.new("Pivot", None)
    bpy.context.scene.collection.objects.link(pivot)
    box.parent = pivot
    for frame, x in ((1, 0), (20, 3)):
        box.location.x = x
        box.keyframe_insert("location", frame=frame)
        pivot.rotation_euler.z = x
        pivot.keyframe_insert("rotation_euler", frame=frame)
    if pushed:
        push_action(box)
    box.driver_add("scale", 1).driver.expression = "1 + frame / 10"
    limit = box.constraints.new("LIMIT_LOCATION")
    limit.use_min_z, limit.min_z = True, 0.5
    scene = bpy.context.scene
    scene.frame_set(7)
    ob = make_asset(box)
    places = []
    for frame in FRAMES:
        scene.frame_set(frame)
        np.testing.assert_allclose(ob.matrix_world, box.matrix_world, atol=1e-5)
        places.append(ob.matrix_world.copy())
    assert places[0] != places[1] != places[2] and places[2].translation.z == pytest.approx(0.5)


def move_twice(ob, last: int, start: int):
    """Strips of one track: ob moves from frame 1 to the last, twice as slowly, and again from the start on; the second
    of them, too."""
    for frame, x in ((1, 0), (last, 3)):
        ob.location.x = x
        ob.keyframe_insert("location", frame=frame)
    action = ob.animation_data.action
    push_action(ob)
    strips = ob.animation_data.nla_tracks[0].strips
    again = strips.new("Again", start, action)
    if hasattr(again, "action_slot"):
        again.action_slot = strips[0].action_slot
    return strips, again


def test_strips_that_meet_between_frames_play_on(box, make_asset):
    strips, again = move_twice(box, 20, 50)
    strips[0].scale = again.scale = 0.25
    again.frame_start, again.use_reverse = strips[0].frame_end, True
    ob, places = make_asset(box), []
    for frame in (2, 5, 6, 9):
        bpy.context.scene.frame_set(frame)
        np.testing.assert_allclose(ob.matrix_world, box.matrix_world, atol=1e-5)
        places.append(ob.matrix_world.translation.x)
    assert strips[0].frame_end == again.frame_start == 5.75 and places[0] < places[1] and places[2] > places[3]


def test_strips_in_a_meta_strip_play_on(box, make_asset):
    strips, _ = move_twice(box, 11, 40)
    for strip in strips:
        strip.select = True
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "NLA_EDITOR"
    region = next(each for each in area.regions if each.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region, object=box):
        bpy.ops.nla.meta_add()
    assert [strip.type for strip in strips] == ["META"]
    ob, places = make_asset(box), []
    for frame in (3, 15, 30, 42, 48, 60):
        bpy.context.scene.frame_set(frame)
        np.testing.assert_allclose(ob.matrix_world, box.matrix_world, atol=1e-5)
        places.append(ob.matrix_world.translation.x)
    assert places[0] < places[1] and places[3] < places[4]


@pytest.mark.parametrize("pushed", [False, True, "and tweaked"])
def test_a_source_that_was_keyed_to_appear_stays_hidden(box, make_asset, pushed):
    for frame, hidden in ((1, True), (5, False)):
        box.hide_render = hidden
        box.keyframe_insert("hide_render", frame=frame)
    action = box.animation_data.action
    if pushed:
        push_action(box, pushed == "and tweaked")
    ob = make_asset(box)
    for frame, hidden in ((1, True), (12, False)):
        bpy.context.scene.frame_set(frame)
        assert box.hide_render and ob.hide_render == hidden
    used, kept = ((each.animation_data.nla_tracks[0].strips[0] if pushed else each.animation_data).action
                  for each in (ob, box))
    assert used == action != kept


def test_settings_and_custom_properties_are_kept(box, make_asset):
    box.pass_index, box.color, box.visible_glossy, box["sku"] = 7, (1, 0, 0, 1), False, 12
    ob = make_asset(box, beside=True)
    assert (ob.pass_index, tuple(ob.color), ob.visible_glossy, ob["sku"]) == (7, (1, 0, 0, 1), False, 12)
    assert ob.near.asset is not None and not box.hide_render and ob.location.x > box.location.x
