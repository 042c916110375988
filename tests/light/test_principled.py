"""Fresnel's equations."""

import numpy as np

from near_core.light import principled


def test_dielectrics_reflect_what_fresnels_equations_say():
    cosine = np.float32([1.0, np.cos(np.radians(60)), np.cos(np.radians(45))])
    schlick = 0.04 + 0.96 * (1 - cosine) ** 5
    exact = principled.look_up_dielectric(np.zeros(3, np.float32), cosine) * schlick
    np.testing.assert_allclose(exact, [0.04, 0.0892, 0.0502], rtol=0.03)  # of glass, unpolarized
