"""Where many instances stand."""

from types import SimpleNamespace

import numpy as np

from near_core.lab.bench.inputs import make_crowd_view
from near_core.lab.bench.scale import look, place
from near_core.render.sight import find_seen

CORNERS = np.array([[0, 0, 0], [63, 63, 63]])
ASSET = SimpleNamespace(coords=CORNERS, box=CORNERS + [[0], [1]])


def count(where: str) -> int:
    return len({each.number for each in find_seen(place([ASSET], 50, where), look(1, 50, where, (192, 108)), "final")})


def test_what_is_behind_the_camera_is_not_drawn_and_the_rest_is():
    assert count("seen") == count("tiny") == count("hidden") == 50 and count("behind") == 0


def test_what_is_hidden_lies_inside_of_the_first():
    first, *others = place([ASSET], 50, "hidden")
    assert np.allclose(first.matrix, np.eye(4)) and all(np.abs(each.matrix[:3]).sum(1).max() < 0.5 for each in others)
    assert make_crowd_view(1, 1, (192, 108)).width == 192
