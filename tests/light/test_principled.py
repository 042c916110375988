"""Fresnel's equations."""

import numpy as np

from near_core.light import principled


def test_dielectrics_reflect_what_fresnels_equations_say():
    """A smooth one in a white room, whose base is black."""
    cosine, none = np.float32([1.0, np.cos(np.radians(60)), np.cos(np.radians(45))]), np.zeros(3)
    schlick = (1 - cosine) ** 5
    mirrored = np.stack([1 - schlick, schlick], 1)[:, None, :, None].repeat(3, -1)
    sent = principled.evaluate(np.zeros((3, 3)), none, none, cosine, np.zeros((3, 1, 3)), mirrored)
    np.testing.assert_allclose(sent[:, 1, 0], [0.04, 0.0892, 0.0502], rtol=0.03)  # of glass, unpolarized
