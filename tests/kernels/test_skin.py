"""kernels.skin against its twin, and what it does to reflections."""

import numpy as np
import pytest

from kernels import skin
from kernels.library import ISAS, isa
from kernels.twins import skin as twin


@pytest.fixture(params=ISAS)
def variant(request, monkeypatch):
    monkeypatch.setenv("NEAR_ISA", request.param)
    if isa() != request.param:
        pytest.skip(f"this machine has no {request.param}")


def directions(rng, count):
    return twin.unit(rng.normal(size=(count, 3))).astype(np.float32)


def triangles(rng, count=40):
    """Of a material with every map, and of one without any."""
    maps = [[rng.uniform(size=(size, 2 * size, channels)).astype(np.float32) for size in (16, 8, 4, 2, 1)]
            for channels in (4, 1, 1, 3)]
    maps[3] = [2 * level - 1 for level in maps[3]]
    materials = [skin.TriangleMaterial((0.9, 0.8, 0.7, 0.6), 0.8, 0.9, 0.7, ("mirror", "clamp"), tuple(maps)),
                 skin.TriangleMaterial((1.0, 0.5, 0.2, 1.0), 0.4, 0.1, 1.0, ("repeat", "repeat"), (None,) * 4)]
    tangents = rng.normal(size=(count, 2, 3)).astype(np.float32)
    return skin.Triangles(directions(rng, count), tangents, rng.uniform(0.5, 2, count).astype(np.float32),
                          tangents[:, ::-1].copy(), rng.integers(0, 2, count).astype(np.int32), materials)


@pytest.mark.parametrize("eye", [(0.2, -3, 0.4, 1), (0, -0.8, 0.6, 0)])
def test_describe_follows_its_twin(variant, eye):
    rng, count = np.random.default_rng(1), 300
    made = triangles(rng)
    row = rng.integers(0, len(made.plane), count).astype(np.int32)
    normal = (made.plane[row] + 0.3 * directions(rng, count)) * rng.uniform(0.5, 0.9, (count, 1)).astype(np.float32)
    point = (row, rng.uniform(-0.5, 0.5, (count, 3)).astype(np.float32), normal,
             rng.uniform(-3, 3, (count, 2)).astype(np.float32), rng.uniform(size=(count, 4)).astype(np.float32),
             (2.0 ** rng.uniform(-6, 0, count)).astype(np.float32))
    found, truth = vars(skin.describe(made, *point, np.float32(eye))), twin.describe(made, *point, np.float64(eye))
    for (name, one), other in zip(found.items(), truth):
        assert np.allclose(one, other, atol=2e-3), name  # a float32 apart, a look can fall between other texels
        assert np.abs(one - other).mean() < 2e-5, name
    alone = skin.describe(made, *point, np.float32(eye), threads=1)
    assert np.array_equal(found["shading_normal"], alone.shading_normal)


def test_places_that_are_no_numbers_are_looked_up_somewhere(variant):
    made = triangles(np.random.default_rng(2))
    uv = np.float32([[np.nan, 0.5], [np.inf, -np.inf], [1e30, -1e30]])
    three = np.zeros((3, 3), np.float32)
    kind = np.zeros_like(made.kind)
    found = skin.describe(skin.Triangles(made.plane, made.tangents, made.density, made.slope, kind, made.materials),
                          np.zeros(3, np.int32), three, three + 1, uv, np.ones((3, 4), np.float32),
                          np.float32([np.nan, np.inf, 1e-9]), np.float32([0, -3, 0, 1]))
    assert (found.opacity >= 0).all() and (found.opacity <= 1).all()


def test_feet_and_leaving_follow_their_twins(variant):
    rng, count = np.random.default_rng(3), 400
    vertices = rng.uniform(-0.5, 0.5, (30, 3)).astype(np.float32)
    faces = np.stack([rng.permutation(30)[:3] for _ in range(40)]).astype(np.int32)
    corner = vertices[faces]
    plane = twin.unit(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])).astype(np.float32)
    row = rng.integers(0, 40, count).astype(np.int32)
    share = rng.dirichlet(np.ones(3), count)[..., None]
    position = ((corner[row] * share).sum(1) + 0.02 * rng.normal(size=(count, 3))).astype(np.float32)
    normal = (plane[row] * rng.choice([-1, 1], (count, 1)) + 0.2 * directions(rng, count)).astype(np.float32)
    for smooth in (None, directions(rng, 30)):
        given = vertices, faces, plane, smooth, row, position, normal
        made = skin.find_feet(*given)
        for one, other in zip(made, twin.find_feet(*given)):
            assert np.allclose(one, other, atol=1e-4)
        assert made[3].any() == (smooth is not None)
        foot, turned, _, rise = made
        ray = rng.integers(0, count, 900)
        light, above = directions(rng, 900), rng.uniform(0, 0.02, 900).astype(np.float32)
        origin, free = skin.leave(foot, turned, rise, ray, light, above, 0.1)
        expected = twin.leave(foot, turned, rise, ray, light, above, 0.1)
        alone = skin.leave(foot, turned, rise, ray, light, above, 0.1, threads=1)
        assert np.array_equal(alone[0], origin) and np.array_equal(alone[1], free)
        assert np.allclose(origin, expected[0], atol=1e-6) and (free == expected[1]).mean() > 0.99


def test_rows_outside_are_refused():
    three = np.zeros((1, 3), np.float32)
    with pytest.raises(ValueError):
        skin.leave(three, three, three, np.array([1]), three, np.zeros(1, np.float32), 0.1)


def test_reflections_stay_above_the_surface():
    rng = np.random.default_rng(0)
    surface = np.tile(np.float32([[0, 0, 1]]), (2000, 1))
    normal = twin.unit(surface + rng.normal(0, 0.5, surface.shape)).astype(np.float32)
    view = twin.unit(rng.normal(size=surface.shape) * (1, 1, 0.3)).astype(np.float32)
    view[:, 2] = np.abs(view[:, 2])
    keep = ((normal * view).sum(1) > 0) & (normal[:, 2] > 0) & (view[:, 2] > 0.05)
    made = twin.lift_reflections(surface[keep], normal[keep], view[keep])
    mirrored = 2 * (made * view[keep]).sum(1, keepdims=True) * made - view[keep]
    before = 2 * (normal[keep] * view[keep]).sum(1, keepdims=True) * normal[keep] - view[keep]
    assert mirrored[:, 2].min() > 0.005 and (before[:, 2] < 0).any()
    fine = before[:, 2] > 0.011
    assert np.array_equal(made[fine], normal[keep][fine]) and np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-4)


