"""The same scene gives the same picture: bit for bit with as many threads, as good as that with others."""

import numpy as np
import pytest

from kernels import library
from tests.drawing import WAYS, make_drawing


@pytest.fixture(scope="module")
def draw():
    return make_drawing()


def furthest(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    """The largest difference of two pictures, of what a pixel of 8 bits can show."""
    a, b = a["Combined"], b["Combined"]
    assert 0.01 < a[..., 3].mean() <= 1
    return float((np.abs(a - b) / np.maximum(1, np.abs(a))).max())


def list_ways(*quick: str) -> list:
    """All of WAYS, those that are not quick for `-m slow`."""
    return [way if way in quick else pytest.param(way, marks=pytest.mark.slow) for way in WAYS]


@pytest.mark.parametrize("way", list_ways("plain", "lamps", "around", "draft"))
def test_as_many_threads_give_the_same_bits_and_others_the_same_picture(draw, way):
    first = draw(2, way)
    for name, values in draw(2, way).items():
        assert values.tobytes() == first[name].tobytes(), name
    assert furthest(first, draw(1, way)) < 1 / 255


@pytest.mark.parametrize("way", list_ways("plain"))
def test_every_instruction_set_gives_the_same_picture(draw, way, monkeypatch):
    best = draw(2, way)
    for isa in library.ISAS[:library.ISAS.index(library.isa())]:
        monkeypatch.setenv("NEAR_ISA", isa)
        assert library.isa() == isa and furthest(best, draw(2, way)) < 1 / 255, isa
