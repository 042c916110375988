"""From how high photos around a thing were taken."""

import numpy as np
import pytest

from near_core.create import poses
from near_core.create.coherence import CoherenceConfig, find_elevation, measure_lack
from near_core.create.config import AlignmentConfig
from near_core.create.extents import fit_block
from near_core.create.photo import prepare
from near_core.create.poses import place_cameras
from near_core.create.shot import Shot
from near_core.create.view import measure_elevation
from near_core.progress import silent
from tests.create.test_alignment import photographed

TURNS = (0, 90, 180, 270)
QUICK = CoherenceConfig(rays=40, places=32)


def place_around(photos, turns=TURNS):
    free = [True] * len(photos)
    return lambda height: fit_block(photos, [photo.guess_camera(turn, height, 35) for photo, turn in
                                             zip(photos, turns)], free).cameras


@pytest.mark.parametrize("height, likely", [(-2.0, 9.0), (26.0, 16.0)])
def test_outlines_tell_from_how_high_photos_were_taken(height, likely):
    photos, _ = photographed(TURNS, height)
    assert find_elevation(photos, place_around(photos), likely, config=QUICK) == pytest.approx(height, abs=2.0)


def test_what_looks_alike_from_all_sides_does_not():
    photos, _ = photographed(TURNS, 25, np.array([[0, 0, 0, 0.4]]))
    assert find_elevation(photos, place_around(photos), 14.0, config=QUICK) == pytest.approx(14.0, abs=1.0)


def test_photos_that_were_taken_from_elsewhere_lack_much_wherever_their_cameras_move():
    photos, _ = photographed(TURNS)
    assert measure_lack(photos, place_around(photos)(12.0), QUICK) < 0.1
    assert measure_lack(photos, place_around(photos, (0, 0, 0, 0))(12.0), QUICK) > CoherenceConfig.contradiction


def test_what_is_told_stays_and_of_two_photos_networks_tell(model, monkeypatch):
    asked = []
    monkeypatch.setattr("near_core.create.poses.find_elevation",
                        lambda photos, *_: asked.append(len(photos)) or 16.0)
    turns = (0, 90, 180, 45)
    photos, _ = photographed(turns)
    shots = [Shot(f"{turn}.png", azimuth=turn, fov=35, elevation=12 if turn == 45 else None) for turn in turns]
    made = place_cameras(model, shots, photos, [])
    assert asked == [3]
    heights = [measure_elevation(each.camera) for each in made]
    assert np.allclose(heights[:3], 16, atol=3.5) and heights[3] == pytest.approx(12, abs=4)
    asked.clear()
    place_cameras(model, shots[:2], photos[:2], [])
    assert not asked


def test_photos_that_things_fill_tell_nothing():
    """Their borders cut the thing off all around: there is no outline."""
    rng = np.random.default_rng(0)
    photos = [prepare(rng.integers(0, 255, (150, 200, 3), np.uint8), np.ones((150, 200), np.float32)) for _ in TURNS]
    shots = [Shot(f"{turn}.png", azimuth=turn, fov=35) for turn in TURNS]
    assert poses._find_height(shots, photos, TURNS, 12.0, silent, AlignmentConfig()) == 12.0
    assert not poses._fit_nothing(photos, place_around(photos)(12.0), AlignmentConfig())
