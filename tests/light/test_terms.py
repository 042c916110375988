"""Reflections of single directions, spots of a map and Fresnel's equations, against integrals and each other."""

import numpy as np
import pytest

from near_core._kernels import ggx
from near_core.asset import Surfels
from near_core.directions import fibonacci_sphere
from near_core.light import principled as shading
from near_core.light import terms as lighting
from near_core.light import transport
from near_core.light.config import TransportConfig
from near_core.scene import Environment


def floor(roughness: float, side: int = 24, metallic: float = 1.0) -> Surfels:
    """A level square of surfels with a wall of the same along its far edge."""
    x, y = np.meshgrid((np.arange(side) + 0.5) / 128, (np.arange(side) + 0.5) / 128)
    level = np.stack([x.ravel(), y.ravel(), np.full(x.size, 0.004)], 1)
    wall = np.stack([x.ravel(), np.full(x.size, side / 128 + 0.004), y.ravel() + 0.008], 1)
    position = np.concatenate([level, wall]).astype(np.float32)
    normal = np.zeros_like(position)
    normal[:len(level), 2], normal[len(level):, 1] = 1, -1
    one = np.ones(len(position), np.float32)
    return Surfels(position, normal, normal.copy(), np.full_like(position, 0.8), roughness * one, metallic * one,
                   one, one, one)


def sunny(power: float) -> Environment:
    sky = np.full((64, 128, 3), 0.2, np.float32)
    sky[20, 85] = power
    return Environment(sky)


@pytest.mark.parametrize("roughness", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("cosine", [0.3, 0.7, 1.0])
def test_reflections_of_all_directions_add_up_to_the_lobes_albedo(roughness, cosine):
    surfel = floor(roughness).take(np.array([0]))
    view = np.array([[np.sqrt(1 - cosine**2), 0, cosine]], np.float32)
    count = 20000
    each = lighting.reflect_directions(surfel, view, fibonacci_sphere(count))
    expected = ggx.brdf(np.float32([roughness]), np.float32([cosine]))
    np.testing.assert_allclose(each.sum(1) * 4 * np.pi / count, expected, rtol=0.03, atol=4e-3)


def window() -> Environment:
    room = np.full((64, 128, 3), 0.2, np.float32)
    room[20:28, 80:96] = 2.0
    return Environment(room)


@pytest.mark.parametrize("environment, suns, spots", [(sunny(3000.0), True, True), (window(), True, False),
                                                      (sunny(1.0), False, False)])
def test_the_parts_of_a_map_hold_its_energy(environment, suns, spots):
    light, limits = transport.prepare_light(environment), TransportConfig()
    assert (light.spots > 0) == spots and (len(light.suns) > 0) == suns and light.sun_weight.any(1).all()
    assert light.spots <= limits.spot_directions and len(light.suns) - light.spots <= limits.sun_directions
    assert (light.base is light.pyramid) == (not spots)
    whole = 4 * np.pi * ggx.solid_angle_mean(light.pyramid)
    sky = 4 * np.pi * ggx.solid_angle_mean(light.sky)
    np.testing.assert_allclose(sky + light.sun_weight.sum(0), whole, rtol=0.01)
    left = 4 * np.pi * ggx.solid_angle_mean(light.base)
    np.testing.assert_allclose(left + light.sun_weight[len(light.suns) - light.spots:].sum(0), whole, rtol=0.01)


def test_what_the_sky_holds_and_what_outshines_it_light_an_open_floor_alike():
    surfels = floor(0.5).take(np.arange(24 * 24))  # without its wall: nothing is in the way
    for environment in (sunny(3000.0), window(), sunny(1.0)):
        light = transport.prepare_light(environment)
        for suns in (False, True):
            lit = transport.illuminate(transport.prepare_transport(surfels, 1), light, np.eye(3), suns=suns, threads=1)
            np.testing.assert_allclose(lit.direct, lit.open, rtol=1e-5)
            np.testing.assert_allclose(lit.visibility, 1, rtol=1e-5)


def test_a_spots_reflection_does_not_hang_on_the_number_of_rays():
    surfels, light = floor(0.45), transport.prepare_light(sunny(3000.0))
    prepared = transport.prepare_transport(surfels, 1)
    lit = transport.illuminate(prepared, light, np.eye(3), threads=1)
    index = np.arange(len(surfels) // 2)
    view = np.broadcast_to(np.float32([0, -0.6, 0.8]), (len(index), 3)).copy()
    few, many = (lighting.shade(prepared, lit, light, np.eye(3), index, view, rays, 1).terms[:, 4] for rays in (8, 512))
    assert many.mean() > 0.02
    assert np.abs(few - many).mean() < 0.1 * many.mean()


def test_dielectrics_reflect_what_fresnels_equations_say():
    cosine = np.float32([1.0, np.cos(np.radians(60)), np.cos(np.radians(45))])
    schlick = 0.04 + 0.96 * (1 - cosine) ** 5
    exact = shading.dielectric(np.zeros(3, np.float32), cosine) * schlick
    np.testing.assert_allclose(exact, [0.04, 0.0892, 0.0502], rtol=0.03)  # of glass, unpolarized
