"""Which photos there are, and from where."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create.poses import list_angles, list_shots, place_cameras
from near_core.create.shot import Shot, find_view
from near_core.errors import NearError
from near_core.scene import camera as cameras
from tests.create.test_alignment import BALLS, photographed


def test_a_side_that_is_told_stays():
    (shot,) = list_shots([Shot("a.png", azimuth=30.0)])
    assert shot.azimuth == 30
    front, unknown = list_shots([Shot("a.png", **find_view("front")), Shot("b.png")])
    assert front.azimuth == 0 and unknown.azimuth is None


def test_photos_of_which_none_says_its_side_go_around():
    shots = list_shots(["a.png", "b.png", Shot("c.png", elevation=15.0), "d.png"])
    assert [shot.azimuth for shot in shots] == [0, 90, 180, 270] and shots[2].elevation == 15


def test_too_many_photos_are_refused():
    with pytest.raises(NearError, match="60 photos"):
        list_shots(["a.png"] * 60)


def test_what_is_there_twice_and_what_does_not_fit_is_named_and_left_out(model):
    photos, _ = photographed((0, 90, 180, 270))
    whole = [cameras.orbit(turn, 12, 2.6, 35, 200, 200) for turn in (0, 90, 180, 270)]
    other, _ = photographed((180,), balls=np.array([[0.0, 0, 0.2, 0.1], [0.0, 0, -0.3, 0.1]]))
    shots = [Shot(f"{n}.png", camera=camera) for n, camera in enumerate(whole)]
    notes: list[str] = []
    shots.append(Shot("0.png", camera=whole[0]))
    made = place_cameras(model, shots, [*photos[:2], other[0], photos[3], photos[0]], notes)
    angles = list_angles(shots, made)
    assert np.allclose(angles[:2], [(0, 12), (90, 12)]) and np.allclose(angles[3], (-90, 12))
    assert (angles[2], angles[4]) == (None, None)
    assert [each.shot.picture for each in made] == ["0.png", "1.png", "3.png"]
    assert len(notes) == 2 and "0.png is there twice" in notes[0] and "2.png does not fit" in notes[1]


def test_photos_that_contradict_each_other_are_told_of(model):
    photos, _ = photographed((0, 90))
    wide, _ = photographed((0,), balls=np.array([[-0.4, 0, 0, 0.1], [0.4, 0, 0, 0.1], [0.0, 0, 0.0, 0.1]]))
    tall, _ = photographed((0,), balls=np.array([[0.0, 0, -0.4, 0.1], [0.0, 0, 0.4, 0.1], [0.0, 0, 0.0, 0.1]]))
    shots = [Shot(f"{n}.png", camera=cameras.orbit(0, 12, 2.6, 35, 200, 200)) for n in range(2)]
    notes: list[str] = []
    assert len(place_cameras(model, shots, [wide[0], tall[0]], notes)) == 2
    assert len(notes) == 1 and "contradict each other" in notes[0]
    notes.clear()
    shots = [Shot(f"{n}.png", camera=cameras.orbit(90 * n, 12, 2.6, 35, 200, 200)) for n in range(2)]
    place_cameras(model, shots, photos, notes)
    assert not notes


def test_photos_that_fit_no_object_from_where_they_are_said_to_be_taken_are_told_of(model, monkeypatch):
    turns = (0, 90, 180, 270)
    photos, _ = photographed(turns)
    notes: list[str] = []
    place_cameras(model, [Shot(f"{turn}.png", azimuth=turn, elevation=12, fov=35) for turn in turns], photos, notes)
    assert not notes
    monkeypatch.setattr("near_core.create.poses.Agreement.contradicts", lambda *_: False)  # cells do not tell it always
    place_cameras(model, [Shot(f"{turn}.png", azimuth=0, elevation=12, fov=35) for turn in turns], photos, notes)
    assert len(notes) == 1 and "do not fit one object" in notes[0]


def test_sides_that_nobody_told_are_found_together(model):
    """Those from which all outlines agree, not each one's alone."""
    turns = (0, 180, -90, 90)
    photos, _ = photographed(turns)
    shots = [Shot("0.png", **find_view("front"), elevation=12, fov=35),
             *(Shot(f"{n}.png", elevation=12, fov=35) for n in (1, 2, 3))]
    notes: list[str] = []
    place_cameras(model, shots, photos, notes)
    told = [float(str(note).split("from ")[1].split(" ")[0]) for note in notes]
    assert np.allclose(np.cos(np.radians(np.subtract(told, turns[1:]))), 1)


def test_a_side_between_those_that_are_told_is_found(model):
    turns = (0, 90, 180, -90, 45)
    photos, _ = photographed(turns)
    shots = [Shot(f"{turn}.png", azimuth=None if turn == 45 else turn, elevation=12, fov=35) for turn in turns]
    notes: list[str] = []
    made = place_cameras(model, shots, photos, notes)
    azimuth, _ = list_angles(shots, made)[4]
    assert abs(azimuth - 45) < 20 and len(notes) == 1 and "seems to be taken from" in notes[0]


@pytest.mark.parametrize("is_found, count", [(False, 1), (True, 0)])
def test_outlines_that_a_network_found_may_err(model, is_found, count):
    """A little lack makes photos doubtful whose outlines are told."""
    photos, _ = photographed((0, 90))
    less, _ = photographed((90,), balls=BALLS + (0, 0, 0.12, 0))
    shots = [Shot(f"{n}.png", camera=cameras.orbit(90 * n, 12, 2.6, 35, 200, 200)) for n in range(2)]
    notes: list[str] = []
    place_cameras(model, shots, [photos[0], replace(less[0], is_found=is_found)], notes)
    assert len(notes) == count
