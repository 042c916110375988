"""A probe before the World, and an asset beside the place where it was taken."""

from dataclasses import replace

import numpy as np

from near_core._kernels import ggx
from near_core.asset import Surfels
from near_core.light import transport
from near_core.scene import Probe
from near_core.scene import environment as environments
from tests.surfaces import lay, spread

SIDE = 24
WORLD = environments.uniform((0.5, 0.5, 0.5))


def wall() -> Surfels:
    """An upright square that faces +X."""
    return lay(np.insert(spread(SIDE), 0, 0.004, 1), (1, 0, 0))


def make_probe(position=(0, 0, 0)) -> Probe:
    """A floor 0.2 below, black where x < 0.2, white beyond."""
    d = ggx.compute_directions(128)
    below = d[..., 2] < 0
    distance = np.where(below, 0.2 / np.maximum(-d[..., 2], 1e-6), np.inf).astype(np.float32)
    white = (below & (np.where(below, distance, 0) * d[..., 0] > 0.2)).astype(np.float32)
    return Probe(np.stack([white, white, white, below.astype(np.float32)], -1), distance, np.float64(position))


def stand(x: float, z: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3], matrix[2, 3] = x, z
    return matrix


def gather(matrix: np.ndarray | None, position=(0, 0, 0)) -> float:
    light = transport.prepare_probe(make_probe(position), WORLD)
    prepared = transport.prepare_transport(wall(), 1)
    return float(transport.illuminate(prepared, light, np.eye(3), matrix, threads=1).direct.mean())


def test_at_the_probes_place_what_is_near_lights_as_if_it_were_far():
    far = gather(None)
    assert abs(gather(np.eye(4)) / far - 1) < 0.05
    assert abs(gather(stand(3, 1), (3, 0, 1)) / far - 1) < 0.05


def test_light_grows_towards_what_is_bright_and_falls_at_a_dark_foot():
    beside, middle, foot = gather(stand(0.15, 0)), gather(stand(0, 0)), gather(stand(0, -0.1))
    assert beside > 1.05 * middle and foot < 0.93 * middle


def test_a_probe_of_nothing_is_the_world():
    empty = Probe(np.zeros((64, 128, 4), np.float32), np.full((64, 128), np.inf, np.float32), np.zeros(3))
    prepared = transport.prepare_transport(wall(), 1)
    lit = transport.illuminate(prepared, transport.prepare_probe(empty, WORLD), np.eye(3), stand(0.3, 0.2), threads=1)
    alone = transport.illuminate(prepared, transport.prepare_light(WORLD), np.eye(3), threads=1)
    np.testing.assert_allclose(lit.direct, alone.direct, rtol=1e-3)


def test_what_is_below_the_floor_is_buried():
    light, place = transport.prepare_probe(make_probe(), WORLD).near, stand(0.1, 0.0)
    points = np.float32([[0, 0, -0.19], [0, 0, -0.25], [0.3, 0.1, -0.19], [0.3, 0.1, -0.23], [0, 0, 0.3]])
    np.testing.assert_allclose(light.find_buried(points, place, 1.02), [0, 1, 0, 1, 0], atol=1e-3)


def test_a_level_mirror_is_told_from_a_bent_one():
    probe = make_probe()
    shown = replace(probe, mirrored=np.full(probe.distance.shape, 0.8, np.float32))
    bent = replace(shown, distance=np.where(np.isfinite(probe.distance), 0.2, np.inf).astype(np.float32))
    assert [transport.prepare_probe(each, WORLD).near.whole.level for each in (probe, shown, bent)] == [0, 1, 0]


def test_what_is_near_keeps_a_sky_off():
    light = transport.prepare_probe(make_probe(), WORLD)
    up, down, side = light.find_openness(np.float32([[0, 0, 1], [0, 0, -1], [1, 0, 0]]))
    assert up > 0.98 and down < 0.05 and abs(side - 0.5) < 0.05
    far = make_probe()
    far = Probe(far.radiance, far.distance * 1000, far.position)
    assert transport.prepare_probe(far, WORLD).find_openness(np.float32([[0, 0, -1]]))[0] > 0.98
    assert transport.prepare_light(WORLD).find_openness(np.zeros((2, 3), np.float32)) == 1
