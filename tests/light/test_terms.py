"""Reflections of single directions, against integrals and against rays."""

from dataclasses import replace

import numpy as np
import pytest

from near_core._kernels import ggx, lamps
from near_core.asset import Surfels
from near_core.directions import fibonacci_sphere
from near_core.light import terms, transport
from near_core.models.mini.layout import Term
from near_core.scene import Environment
from tests.surfaces import lay, spread


def floor(roughness: float, side: int = 24, metallic: float = 1.0) -> Surfels:
    """A level square of surfels with a wall of the same along its far edge."""
    at = spread(side) + side / 256
    level, wall = np.insert(at, 2, 0.004, 1), np.insert(at + (0, 0.008), 1, side / 128 + 0.004, 1)
    normal = np.repeat([[0, 0, 1], [0, -1, 0]], len(at), 0)
    return lay(np.concatenate([level, wall]), normal, roughness=roughness, metallic=metallic)


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
    power = np.full((count, 3), 4 * np.pi / count, np.float32)
    sent, half = lamps.glare(fibonacci_sphere(count), power, surfel.shading_normal, view, surfel.roughness,
                             np.full((1, count), 0.5, np.float32), 0.1, np.inf)
    expected = ggx.look_up_brdf(np.float32([roughness]), np.float32([cosine]))
    np.testing.assert_allclose(sent[..., 0], expected, rtol=0.03, atol=4e-3)
    np.testing.assert_allclose(half, sent / 2, rtol=1e-5)


def test_a_spots_reflection_does_not_hang_on_the_number_of_rays():
    surfels, light = floor(0.45), transport.prepare_light(sunny(3000.0))
    prepared = transport.prepare_transport(surfels, 1)
    lit = transport.illuminate(prepared, light, np.eye(3), threads=1)
    index = np.arange(len(surfels) // 2)
    view = np.broadcast_to(np.float32([0, -0.6, 0.8]), (len(index), 3)).copy()
    few, many = (terms.shade(prepared, lit, light, np.eye(3), index, view, rays, 1).terms[:, Term.SPECULAR]
                 for rays in (8, 512))
    assert many.mean() > 0.02
    assert np.abs(few - many).mean() < 0.12 * many.mean()  # the sun in the wall is found by few of eight rays


def test_no_line_lies_where_rays_begin_to_find_spots():
    """A floor whose roughness grows along it, under a sun whose reflection it sees."""
    rough, light = np.linspace(0.12, 0.28, 24, dtype=np.float32), transport.prepare_light(sunny(300.0))
    surfels = replace(floor(0.2), roughness=np.tile(rough, 48))
    prepared = transport.prepare_transport(surfels, 1)
    lit = transport.illuminate(prepared, light, np.eye(3), threads=1)
    sun = light.suns[-1]
    view = np.broadcast_to(np.float32([-sun[0], -sun[1] + 0.15, sun[2]]), (24, 3))
    view = np.ascontiguousarray(view / np.linalg.norm(view[0]))
    sent = terms.shade(prepared, lit, light, np.eye(3), np.arange(24), view, 64, threads=1).terms[:, Term.SPECULAR, 0]
    assert light.spots and np.abs(np.diff(sent)).max() < 0.25 * (sent.max() - sent.min())


def test_chrome_under_a_small_lamp_has_no_sparks():
    """A polished floor seen along one direction shows the same everywhere, though a lamp stands in its lobe's tail."""
    surfels, light = floor(0.15), transport.prepare_light(sunny(500.0))
    prepared = transport.prepare_transport(surfels, 1)
    lit = transport.illuminate(prepared, light, np.eye(3), threads=1)
    index = np.arange(24 * 8)  # away from the wall
    view = np.broadcast_to(np.float32([0, -0.3, 0.954]), (len(index), 3)).copy()
    open_floor = terms.shade(prepared, lit, light, np.eye(3), index, view, 8, threads=1)
    sent = open_floor.terms[open_floor.blocked == 0, Term.SPECULAR, 0]
    assert len(sent) > 20 and sent.std() < 0.01 * sent.mean()
