"""Kinds of pixels: each pixel of the object is of one, and their errors add up."""

import numpy as np
import pytest

from near_core.lab.evaluation import error_classes


def test_every_pixel_of_the_object_is_of_one_kind_and_errors_add_up():
    """A disc with a bar on it, half metal, a speckled quarter, a dark corner: kinds in the order of error_classes."""
    y, x = np.mgrid[:96, :96]
    disc, bar = (x - 48) ** 2 + (y - 48) ** 2 < 40 ** 2, (np.abs(x - 48) < 2) & (y < 20)
    solid = disc | bar
    color = np.full((96, 96, 3), 0.5)
    color[(x > 48) & (y > 48) & ((x + y) % 2 == 0)] = 0.1
    truth = {"Combined": np.dstack([color * solid[..., None], solid]).astype(np.float32), "Base Color": color,
             "Depth": np.where(solid, 2.0, 0)[..., None], "Metallic": (x < 40).astype(float)[..., None]}
    shadow = np.where((x > 60) & (y < 40), 0.1, 1.0)[..., None]
    masks = error_classes.classify(truth, shadow)
    assert np.array_equal(np.sum(list(masks.values()), 0), solid)
    places = {"thin": (4, 48), "metals": (48, 20), "shaded": (30, 70), "fine": (66, 66), "rest": (40, 50),
              "edges": (48, 9)}
    assert all(masks[name][place] for name, place in places.items())
    wrong = truth["Combined"].copy()
    wrong[masks["fine"]] = 0
    found = error_classes.summarize_classes([error_classes.sum_errors(wrong, truth["Combined"], masks)] * 2)
    assert sum(f["pixels"] for f in found.values()) == pytest.approx(1)
    assert found["fine"]["error"] == pytest.approx(1) and found["fine"]["psnr"] < 10 and found["rest"]["psnr"] == 100
