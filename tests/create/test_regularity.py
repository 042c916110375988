"""What a photo's object is alike in."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create.config import ReconstructionConfig
from near_core.create.regularity import doubt_mirror, measure_photo_asymmetry, measure_turning, suppose_turned
from near_core.create.revolution import is_uneven
from near_core.create.view import compute_cell_centres
from near_core.models.mini.layout import SIZE, Picture
from near_core.scene import camera as cameras
from tests.create.pictures import view_of

CAMERA = cameras.orbit(0, 0, 3, 22, SIZE, SIZE)
ACROSS = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1


def shown(width: float, height: float, flat: bool):
    """The view of an upright cylinder, or of a board with that outline, in halves of the crop."""
    view = view_of(CAMERA, np.full((SIZE, SIZE), -0.1, np.float32))
    view.mask = (np.abs(ACROSS) < width) & (np.abs(ACROSS) < height)[:, None]
    view.image[Picture.ALPHA] = view.mask
    aside = 0 if flat else np.clip(ACROSS / width, -1, 1)
    view.normal[0], view.normal[1], view.normal[2] = aside, 0, -np.sqrt(np.maximum(1 - np.square(aside), 1e-4))
    return view


def body(depth: float) -> np.ndarray:
    """A field (128, 128, 128) of an upright elliptic cylinder, as wide as shown(0.5, 0.8) shows it and so many times as
    deep."""
    x, y, z = compute_cell_centres(128).reshape(128, 128, 128, 3).transpose(3, 0, 1, 2)
    return np.minimum(0.29 - np.hypot(x, y / depth), 0.46 - np.abs(z)).astype(np.float32) * 128


def test_normals_tell_a_cylinder_from_a_board():
    assert measure_turning(shown(0.5, 0.8, flat=False)) < 0.05
    assert measure_turning(shown(0.5, 0.8, flat=True)) > 0.4


def test_a_turned_thing_is_one_where_the_solid_agrees_or_it_is_a_rod():
    config = replace(ReconstructionConfig(), turned_error=0.28)
    view = shown(0.5, 0.8, flat=False)
    turned = suppose_turned(view, body(1.1), config)
    solid = turned > 0
    assert solid.any((1, 2)).sum() == pytest.approx(solid.any((0, 2)).sum(), abs=1)
    assert suppose_turned(view, body(1.6), config) is None
    assert suppose_turned(view, body(1.1), ReconstructionConfig()) is None
    assert suppose_turned(shown(0.1, 0.8, flat=False), body(1.6), config) is not None
    view.front = view.front + np.linspace(-0.3, 0.3, SIZE, dtype=np.float32)  # seen obliquely
    assert suppose_turned(view, body(1.1), config) is None


def test_a_shoulder_is_uneven_and_a_handle_is_not():
    """Of an apple that is higher on the right; what was turned would lose that, or have a flap there."""
    config, solid = replace(ReconstructionConfig(), turned_error=0.31), body(1.1)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    shoulder, handle = shown(0.5, 0.8, flat=False), shown(0.5, 0.8, flat=False)
    shoulder.mask |= (np.hypot((columns - 92) / 15, (rows - 36) / 24) < 1) & (columns > 60)
    handle.mask |= np.abs(np.hypot(columns - 96, rows - 60) - 18) < 5
    assert is_uneven(shoulder) and suppose_turned(shoulder, solid, config) is None
    for view in (handle, shown(0.5, 0.8, flat=False)):
        assert not is_uneven(view) and suppose_turned(view, solid, config) is not None


def test_a_photo_contradicts_a_symmetry_that_is_none():
    even, odd = shown(0.5, 0.8, flat=True), shown(0.5, 0.8, flat=True)
    odd.mask[:, :SIZE // 2] = False
    assert measure_photo_asymmetry(even) == pytest.approx(0, abs=0.1)
    assert measure_photo_asymmetry(odd) > 10
    even.mask[:] = False
    assert measure_photo_asymmetry(even) == np.inf


def test_no_colours_come_from_the_mirror_image_of_what_has_none():
    even, uneven, told = (shown(0.5, 0.8, flat=True) for _ in range(3))
    for view in (uneven, told):
        view.mask[:64, 64:] = False
    told.config = replace(told.config, symmetry="on")
    for view in (even, uneven, told):
        doubt_mirror(view)
    assert [view.config.symmetry for view in (even, uneven, told)] == ["auto", "off", "on"]
