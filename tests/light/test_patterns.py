"""What lamps send by direction and distance."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.light import lamplight, lamps, patterns, transport
from near_core.scene import Environment, Lamp, measure_pattern
from tests.light.test_lamplight import floor
from tests.light.test_lamps import stand


def paint(kind: str, spot_angle: float = 1.0) -> np.ndarray:
    """A pattern that shows each direction, (x, y, z) in the lamp's frame, as the colour 1 + x, 1 + y, 1 - z."""
    rows, columns = 64, 128 if kind == "point" else 64
    wide, high = measure_pattern(kind, spot_angle)
    up, along = np.meshgrid(*(side * (0.5 - (np.arange(count) + 0.5) / count)
                              for side, count in ((high, rows), (-wide, columns))), indexing="ij")
    return np.stack([1 + np.cos(up) * np.sin(along), 1 + np.sin(up), 1 + np.cos(up) * np.cos(along)],
                    -1).astype(np.float32)


@pytest.mark.parametrize("kind", ["point", "spot", "area"])
def test_a_pattern_turns_with_its_lamp(kind):
    matrix = stand((1, 2, 3), (0.4, -0.3, 2.0), (2, 2, 2))
    lamp = Lamp(kind, matrix, np.ones(3), spot_angle=1.0, pattern=paint(kind))
    own = np.random.default_rng(1).uniform(-1, 1, (200, 3)) * ((1, 1, 1) if kind == "point" else (0.4, 0.4, 0))
    own += (0, 0, 0 if kind == "point" else -1)
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    way = (3 * own @ (matrix[:3, :3] / 2).T).astype(np.float32)
    np.testing.assert_allclose(patterns.look_up(lamp, way), np.stack([1 + own[:, 0], 1 + own[:, 1], 1 - own[:, 2]], 1),
                               atol=0.03 if kind == "point" else 0.003)


def test_a_row_of_a_point_is_closed():
    pattern = np.zeros((8, 16, 3), np.float32)
    pattern[:, :8], pattern[:, 8:] = 1, 3  # the seam lies behind, at +Z
    lamp = Lamp("point", np.eye(4), np.ones(3), pattern=pattern)
    np.testing.assert_allclose(patterns.look_up(lamp, np.float32([[0, 0, 1], [-1, 0, 0], [1, 0, 0]])),
                               np.float32([[2] * 3, [1] * 3, [3] * 3]), atol=1e-5)


@pytest.mark.parametrize("falloff, smooth, expected", [(2, 0, 1), (1, 0, 3), (0, 0, 9), (1, 0.5, 3 * 1.5 * 9 / 9.5)])
def test_light_fades_as_cycles_falloff_has_it(falloff, smooth, expected):
    lamp = Lamp("point", np.eye(4), np.ones(3), falloff=falloff, smooth=smooth)
    np.testing.assert_allclose(patterns.fade(lamp, np.float64([1, 3])) * np.ones(2), [1, expected])


def test_an_assets_light_has_the_pattern_and_its_own_distance():
    half = np.zeros((2, 64, 3), np.float32)
    half[:, 32:] = 2, 1, 0  # what goes to +X
    lamp = Lamp("spot", stand((0, 0, 0.5)), np.ones(3), spot_angle=2.5, pattern=half, falloff=1.0)
    prepared = transport.prepare_transport(floor(), 1)
    lit, plain = (lamplight.illuminate(prepared, [each], np.eye(4), np.eye(3), threads=1)
                  for each in (lamp, replace(lamp, pattern=None, falloff=2.0)))
    way = prepared.surfels.position - np.float32([0, 0, 0.5])
    expected = plain.direct * np.linalg.norm(way, axis=1)[:, None] * patterns.look_up(lamp, way)
    np.testing.assert_allclose(lit.direct, expected, rtol=1e-4, atol=1e-6)
    assert lamp.key != replace(lamp, pattern=half[:, ::-1].copy()).key
    surfels, up = prepared.surfels, np.tile(np.float32([0, 0, 1]), (len(way), 1))
    irradiance, mirrored = lamplight.light_points(lit, surfels, lit.lit, up, np.eye(4), np.eye(3), 0.1)
    np.testing.assert_allclose(irradiance[1], expected, rtol=1e-4, atol=1e-6)
    sent = [mirrored[1][side, 0].max() for side in (surfels.position[:, 0] < -0.1, surfels.position[:, 0] > 0.1)]
    assert sent[0] < 1e-6 < sent[1]


def test_a_lamp_that_is_part_of_the_map_shows_its_pattern_there():
    half = np.zeros((2, 64, 3), np.float32)
    half[:, 32:] = 2, 1, 0
    lamp = Lamp("spot", stand((0, 0, 1)), np.ones(3), spot_angle=2.5, pattern=half)
    dark = np.zeros((8, 16, 3), np.float32)
    sums = [lamps.add_far(Environment(dark), [lamp], np.float64([x, 0, 0])).map.sum((0, 1)) for x in (-0.5, 0.5)]
    assert not sums[0].any() and sums[1][0] == pytest.approx(2 * sums[1][1]) and sums[1][2] == 0
