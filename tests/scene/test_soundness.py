"""Numbers that no scene holds are told from those that one may."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.asset.deformation import Deformation
from near_core.scene import AssetLook, Environment, Lamp, Lens, Occluders, Settings, Shutter, camera
from near_core.scene.probe import make_empty
from near_core.scene.soundness import is_sound

VIEW = camera.orbit(30, 20, 2, 40, 24, 16)
LAMP = Lamp("area", np.eye(4), np.ones(3), pattern=np.ones((2, 2, 3), np.float32))
FLOOR = Occluders(np.eye(3, dtype=np.float32), np.int32([[0, 1, 2]]), ("floor",), np.int32([0]))
PROBE, CORNERS = make_empty(np.zeros(3), 4), np.eye(3, dtype=np.float32)
BLUR = Shutter([VIEW, VIEW], np.zeros((2, 0, 4, 4)))
ENDLESS, NONE = np.full((4, 4), np.inf), np.full(3, np.nan)


def test_what_scenes_hold_is_sound():
    parts = (VIEW, replace(VIEW, far=np.inf, near=-2.0, frame=(-3, -2, 40, 30)), LAMP, FLOOR, PROBE, BLUR, None,
             Lens(0.0, 0.001, 0, 0.0, 1.0), AssetLook(exposure=-20.0, tint=(10, 0, 0)), Settings("draft", threads=8),
             Environment(np.zeros((1, 2, 3), np.float32)), np.full((1, 2, 3), 65504.0, np.float32),
             Deformation(CORNERS, 9 * CORNERS), Occluders(np.empty((0, 3)), np.empty((0, 3), int)),
             Occluders(np.full((3, 3), np.nan), FLOOR.faces))
    assert [part for part in parts if not is_sound(part)] == []


@pytest.mark.parametrize("part", [
    replace(VIEW, world_to_camera=ENDLESS), replace(VIEW, world_to_camera=np.diag([1, 1, 0, 1.0])),
    replace(VIEW, intrinsics=np.zeros((3, 3))), replace(VIEW, near=np.nan),
    replace(VIEW, near=3.0, far=2.0), replace(LAMP, matrix=ENDLESS), replace(LAMP, color=NONE),
    replace(LAMP, radius=-1.0), replace(LAMP, spread=1e30), replace(LAMP, falloff=np.nan), replace(LAMP, smooth=-1.0),
    replace(LAMP, pattern=np.zeros((2, 2), np.float32)), replace(LAMP, pattern=np.zeros((0, 2, 3), np.float32)),
    replace(FLOOR, faces=np.int32([[0, 1, -2]])),
    replace(FLOOR, faces=np.int32([[0, 1, 3]])), replace(FLOOR, owner=np.int32([1])), replace(PROBE, position=NONE),
    replace(PROBE, distance=-PROBE.distance), replace(PROBE, radiance=PROBE.radiance + np.float32(np.nan)),
    Shutter([VIEW, replace(VIEW, world_to_camera=ENDLESS)], BLUR.matrices), replace(BLUR, openness=(1.0, np.nan)),
    Lens(np.inf, 1.0), Lens(0.1, 0.0), AssetLook(exposure=1e6), AssetLook(opacity=2.0), AssetLook(hue=np.nan),
    Settings(filter_width=np.nan), Settings(threads=2**40), np.full((1, 2, 3), np.inf, np.float32),
    np.zeros((6, 1), np.float32), replace(PROBE, distance=PROBE.distance.T), replace(FLOOR, faces=FLOOR.faces[0]),
    Deformation(CORNERS, CORNERS[:2]),
    Environment(np.zeros((1, 2, 3)), strength=np.inf), Environment(np.zeros((1, 2, 3)), 1e30 * np.eye(3)),
    Deformation(CORNERS, 1e30 * CORNERS)], ids=lambda part: type(part).__name__)
def test_others_are_not(part):
    assert not is_sound(part)


def test_a_probe_that_does_not_know_what_is_mirrored_is_sound():
    assert PROBE.mirrored is None and is_sound(PROBE)
    assert not is_sound(replace(PROBE, mirrored=np.full((4, 8), np.nan)))
