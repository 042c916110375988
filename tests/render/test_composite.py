"""Two pictures become one: the nearer lies over the farther."""

import numpy as np

from near_core.render.composite import merge, put_behind
from near_core.scene import PASSES


def test_merging_weighs_by_what_each_covers():
    def flat(alpha, depth, color):
        sizes = {name: np.full((1, 1, n), 0.5, np.float32) for name, n in PASSES.items()}
        return sizes | {"Combined": np.array([[[*(alpha * np.array(color)), alpha]]], np.float32),
                        "Depth": np.full((1, 1, 1), depth, np.float32), "Base Color": np.array([[color]], np.float32),
                        "Normal": np.array([[[0, 0, 1]]], np.float32)}

    near, far, empty = flat(0.5, 2, (1, 0, 0)), flat(1, 3, (0, 1, 0)), flat(0, 0, (0, 0, 0))
    for made in (merge(near, far), merge(far, near)):
        np.testing.assert_allclose(made["Combined"][0, 0], (0.5, 0.5, 0, 1))
        np.testing.assert_allclose(made["Depth"][0, 0], 2.5)
    for made in (merge(empty, far), merge(far, empty)):
        np.testing.assert_allclose(made["Combined"], far["Combined"])
        np.testing.assert_allclose(made["Depth"], 3)


def test_a_sky_shows_where_the_picture_is_open():
    combined = np.float32([[[0.2, 0.1, 0, 0.25], [0, 0, 0, 0], [1, 2, 3, 1]]])
    put_behind(combined, np.float32([[[4, 4, 4], [1, 2, 3], [9, 9, 9]]]))
    np.testing.assert_allclose(combined[0], [[3.2, 3.1, 3, 1], [1, 2, 3, 1], [1, 2, 3, 1]])
