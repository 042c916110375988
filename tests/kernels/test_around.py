"""Light from near by against its specification, and against a room that is known."""

from dataclasses import replace

import numpy as np
import pytest

from kernels import around, ggx, grid, specular
from kernels.twins import around as twin
from kernels.twins import ggx as twin_ggx


def unit(v: np.ndarray) -> np.ndarray:
    return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)


def make_floor(height: float = 0.5, rows: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Radiance (h, 2h, 4) and distance of a floor below, white where x > 0; nothing above."""
    d = ggx.compute_directions(rows)
    below = d[..., 2] < 0
    distance = np.where(below, height / np.maximum(-d[..., 2], 1e-6), np.inf).astype(np.float32)
    white = (below & (d[..., 0] > 0)).astype(np.float32)
    return np.stack([white, white, white, below.astype(np.float32)], -1), distance


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(5)
    radiance = rng.uniform(0, 2, (64, 128, 4)).astype(np.float32)
    radiance[..., 3] = np.clip(radiance[..., 3], 0, 1)
    distance = rng.uniform(0.5, 3, (64, 128)).astype(np.float32)
    place = np.concatenate([rng.normal(0, 0.5, (3, 3)), rng.normal(0, 0.1, (3, 1))], 1)
    mirrored = rng.random((64, 128)).astype(np.float32)
    return around.prepare(radiance, distance, place, mirrored), rng.uniform(0, 1, (128, 256, 3)).astype(np.float32), rng


def test_rays_are_as_specified(scene):
    near, sky, rng = scene
    origin = rng.uniform(-0.5, 0.5, (300, 3)).astype(np.float32)
    direction, lod = unit(rng.standard_normal((300, 3))), rng.uniform(0, 5, 300).astype(np.float32)
    got = near.look(ggx.build_pyramid(sky), origin, direction, lod)
    expected = twin.look(near, twin_ggx.build_pyramid(sky), origin, direction, lod + 1, lod)
    assert np.abs(got - expected).max() < 0.02 and np.abs(got - expected).mean() < 3e-4
    assert np.abs(got - twin.look(replace(near, mirrored=None), twin_ggx.build_pyramid(sky), origin, direction, lod + 1,
                                  lod)).mean() > 0.01


def test_gathered_light_is_as_specified(scene):
    near, sky, rng = scene
    origin = rng.uniform(-0.5, 0.5, (40, 3)).astype(np.float32)
    normal, direction = unit(rng.standard_normal((40, 3))), unit(rng.standard_normal((16, 3)))
    opened, radiance = rng.random((40, 16)) < 0.7, rng.random((16, 3)).astype(np.float32)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    words = grid.pack_open(np.where(opened, -1, 0).astype(np.int32))
    bounced = rng.integers(-1, 16, 16).astype(np.int32)
    got = near.gather(ggx.build_pyramid(sky), origin, normal, direction, radiance, words, 2.0, turn, bounced=bounced)
    levels = twin_ggx.build_pyramid(sky)
    expected = twin.gather(near, levels, origin, normal, direction, radiance, opened, 3.0, 2.0, turn, bounced)
    np.testing.assert_allclose(got, expected, atol=0.01)
    with pytest.raises(ValueError, match="bounced"):
        near.gather(ggx.build_pyramid(sky), origin, normal, direction, radiance, words, 2.0, turn, bounced=bounced + 17)


def test_a_floor_is_met_where_it_lies():
    """From 0.3 beside the place where the panorama was taken, the floor's edge lies 0.3 to the other side."""
    near, black = around.prepare(*make_floor(), np.eye(3, 4)), ggx.build_pyramid(np.zeros((64, 128, 3), np.float32))
    origin = np.float32([[0.3, 0, -0.2]])
    for x, white in ((-0.1, 1), (0.1, 1), (-0.5, 0), (0.4, 1)):
        down = unit(np.float32([[x, 0.1, -0.5]]) - origin)
        seen = near.look(black, origin, down, np.zeros(1, np.float32))
        np.testing.assert_allclose(seen, 1.0 if x > 0 else 0.0, atol=0.05, err_msg=f"{x}, {white}")


def test_rays_land_on_a_floor_from_far_above_the_panorama():
    """A finite floor covers what rays towards it meet, and nothing of what they miss, wherever they leave."""
    rng, far = np.random.default_rng(3), ggx.build_pyramid(np.zeros((64, 128, 3), np.float32))
    radiance, distance = make_floor(0.2)
    ends = np.where(distance < 4, distance, np.inf).astype(np.float32)  # of a round floor
    radiance = radiance * np.isfinite(ends)[..., None]
    radiance[..., :3] = radiance[..., 3:]
    near = around.prepare(radiance, ends, np.eye(3, 4))
    origin = rng.uniform((-0.25, -0.25, -0.15), (0.25, 0.25, 0.3), (2000, 3)).astype(np.float32)
    direction = unit(rng.standard_normal((2000, 3)))
    with np.errstate(divide="ignore"):
        reach = np.where(direction[:, 2] < 0, -(origin[:, 2] + 0.2) / direction[:, 2], np.inf)
    there = np.linalg.norm(origin + np.where(np.isfinite(reach), reach, 0)[:, None] * direction, axis=1)
    lands = np.isfinite(reach) & (there < 4)
    wrong = np.abs(near.look(far, origin, direction, np.zeros(2000, np.float32))[:, 0] - lands)
    assert wrong.mean() < 0.015


def test_what_a_floor_mirrors_does_not_move_with_the_place():
    radiance, distance = make_floor()
    white = np.concatenate([radiance[..., 3:]] * 4, -1)
    d = ggx.compute_directions(128)
    white[..., 0] *= d[..., 0] > 0  # red lies on +X, behind the floor
    near = around.prepare(white, distance, np.eye(3, 4), radiance[..., 3].copy())
    origin, black = np.float32([[0.3, 0, -0.2]]), ggx.build_pyramid(np.zeros((64, 128, 3), np.float32))
    for x, red in ((-0.2, 0), (0.2, 1)):
        seen = near.look(black, origin, unit(np.float32([[x, 0, -0.3]])), np.zeros(1, np.float32))
        np.testing.assert_allclose(seen, [[red, 1, 1]], atol=0.05)


def test_what_is_around_hides_the_sky_without_taking_its_color():
    near = around.prepare(*make_floor(), np.eye(3, 4))
    white = ggx.build_pyramid(np.full((64, 128, 3), 5.0, np.float32))
    origin = np.float32([[0.0, 0.0, 0.2], [0.0, 0.0, 0.2]])
    steep = unit(np.float32([[-0.3, 0, -1], [0, 0, 1]]))
    seen = near.look(white, origin, steep, np.full(2, 4.0, np.float32))  # coarse: texels of 22 degrees
    np.testing.assert_allclose(seen, [[0, 0, 0], [5, 5, 5]], atol=0.5)
    far = near.look(white, 0 * origin, steep, np.zeros(2, np.float32))
    np.testing.assert_allclose(far, [[0, 0, 0], [5, 5, 5]], atol=1e-3)


def test_a_reflection_sees_what_rays_see():
    near = around.prepare(*make_floor(), np.eye(3, 4))
    light = ggx.build_pyramid(np.full((64, 128, 3), 0.5, np.float32))
    origin, normal = np.float32([[0.3, 0, -0.2]]), np.float32([[1, 0, 0]])
    view = unit(np.float32([[1, 0, 0.8]]))  # mirrored it looks down and away
    smooth, first = np.full(1, 0.05, np.float32), np.zeros(1, np.int32)
    seen = specular.reflect(light, normal, view, normal, smooth, first, np.eye(3), around=near, origin=origin)
    assert seen.sum(1).min() > 0.9  # the floor's white side
    scene = grid.Grid(origin, normal, 64)
    opened, traced, _ = specular.trace_specular(scene, first, view, normal, smooth, np.zeros((1, 4), np.float32), light,
                                                np.eye(3), around=near)
    np.testing.assert_allclose(opened, seen, atol=0.02)
    np.testing.assert_array_equal(opened, traced)
