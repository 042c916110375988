"""The same scene gives the same picture: bit for bit with as many threads, as good as that with others."""

import numpy as np
import pytest

from kernels import library
from tests.drawing import make_drawing


@pytest.fixture(scope="module")
def draw():
    return make_drawing()


def furthest(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    """The largest difference of two pictures, of what a pixel of 8 bits can show."""
    a, b = a["Combined"], b["Combined"]
    assert 0.1 < a[..., 3].mean() < 1
    return float((np.abs(a - b) / np.maximum(1, np.abs(a))).max())


def test_as_many_threads_give_the_same_bits_and_others_the_same_picture(draw):
    first = draw(2)
    for name, values in draw(2).items():
        assert values.tobytes() == first[name].tobytes(), name
    assert furthest(first, draw(1)) < 1 / 255


def test_every_instruction_set_gives_the_same_picture(draw, monkeypatch):
    best = draw(2)
    for isa in library.ISAS[:library.ISAS.index(library.isa())]:
        monkeypatch.setenv("NEAR_ISA", isa)
        assert library.isa() == isa and furthest(best, draw(2)) < 1 / 255, isa
