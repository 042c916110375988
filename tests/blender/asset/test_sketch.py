"""What is drawn on a photo becomes hints, and can be seen."""

import numpy as np
import pytest

from near_blender.asset.sketch import SPACING, Sketch
from near_core.create.hints import Hints


def test_marks_become_hints_and_are_taken_back():
    sketch = Sketch()
    sketch.begin("inside", 0.5, 0.5)
    sketch.extend(0.501, 0.5)  # too near for another dab
    sketch.extend(0.6, 0.5)
    sketch.begin("outside", 0.1, 0.2)
    sketch.begin("box", 0.9, 0.8)
    assert sketch.hints.box is None  # nothing yet
    sketch.extend(0.2, 1.3)
    assert sketch.hints.box == pytest.approx((0.2, 0.8, 0.9, 1.0))
    stroke = sketch.hints.inside[:, 0]
    assert stroke[0] == 0.5 and stroke[-1] == pytest.approx(0.6) and np.diff(stroke).max() < 2 * SPACING * sketch.radius
    assert sketch.hints.outside.shape == (1, 3)
    again = Sketch(sketch.hints).hints
    assert again.box == sketch.hints.box and (again.inside == sketch.hints.inside).all()
    sketch.choose(2)
    assert sketch.hints.number == 2
    for _ in range(2):
        sketch.undo()
    assert sketch.hints.box is None and sketch.hints.number == 0 and len(sketch.hints.outside)
    for _ in range(5):
        sketch.undo()
    assert not sketch.hints.has_dabs


def test_what_is_no_object_is_dim_and_marks_are_seen():
    sketch = Sketch(Hints(inside=np.float32([[0.75, 0.25, 0.05]])))
    assert sketch.draw() is None
    sketch.picture = np.full((40, 80, 3), 200, np.uint8)
    sketch.matte = np.zeros((40, 80), np.uint8)
    sketch.matte[:, 40:] = 255
    drawn = sketch.draw()[::-1]
    assert drawn.shape == (40, 80, 4) and drawn[30, 60, 0] > 2 * drawn[30, 10, 0]
    assert drawn[10, 60, 1] > drawn[10, 60, 0]  # the dab is green
