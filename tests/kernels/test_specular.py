"""kernels.specular against its twin, white furnaces, closed rooms, a sun and a metal that mirrors a metal."""

import numpy as np
import pytest

from kernels import ggx, grid, specular
from kernels.library import ISAS
from kernels.twins import ggx as twin_ggx
from kernels.twins import specular as twin
from tests.kernels.shapes import CELL, RESOLUTION, TURNED, ball, box, inside_out, rgb0, surfels, unit
from tests.kernels.test_grid import crowded, still_life, stopwatch, use  # noqa: F401


@pytest.fixture(scope="module")
def light():
    return np.random.default_rng(5).random((64, 128, 3)).astype(np.float32) ** 4 * 10


def shading(scene, count, seed=0, bend=0.1):
    rng = np.random.default_rng(seed)
    index = rng.integers(0, len(scene), count).astype(np.int32)
    n = scene.normal[index]
    view = unit(n + 0.6 * rng.normal(size=(count, 3)))
    return index, view, unit(n + bend * rng.normal(size=(count, 3))), rng.random(count).astype(np.float32)


@pytest.mark.parametrize("variant", ISAS)
def test_trace_specular_follows_its_twin(still_life, light, monkeypatch, variant):  # noqa: F811
    use(variant, monkeypatch)
    radiosity = rgb0(np.abs(still_life.normal))  # the same all over a wall, see same_wall
    surface, turn = shading(still_life, 200), TURNED.astype(np.float32)
    got = specular.trace_specular(still_life, *surface, radiosity, ggx.build_pyramid(light), turn, rays=8, seed=3)
    expected = twin.trace_specular(still_life, *surface, radiosity, twin_ggx.build_pyramid(light), turn, rays=8, seed=3)
    assert 0.1 < expected[2].mean() < 0.9
    for a, b in zip(got, expected):
        off = ~np.isclose(a, b, rtol=5e-3, atol=5e-3).reshape(len(a), -1).all(1)
        assert off.mean() <= 0.02  # a ray may graze a surfel's edge


@pytest.mark.parametrize("variant", ISAS)
def test_metals_are_mirrored_as_its_twin_says(still_life, light, monkeypatch, variant):  # noqa: F811
    use(variant, monkeypatch)
    metallic = np.round(np.abs(still_life.normal[:, :1]), 3)  # the same all over a wall, see same_wall
    rows = np.concatenate([still_life.normal, 0.2 + 0.5 * metallic, 0.8 * metallic, 0.7 * metallic, 0.6 * metallic,
                           metallic], 1, dtype=np.float32)
    surface, radiosity = shading(still_life, 200), rgb0(np.abs(still_life.normal))
    sky = ggx.build_pyramid(light)
    got = specular.trace_specular(still_life, *surface, radiosity, sky, TURNED.astype(np.float32), rays=8,
                                  mirrors=specular.Mirrors(rows, sky, bounces=2))
    expected = twin.trace_specular(still_life, *surface, radiosity, twin_ggx.build_pyramid(light), TURNED, rays=8,
                                   mirrors=(rows, 2))
    plain = specular.trace_specular(still_life, *surface, radiosity, sky, TURNED.astype(np.float32), rays=8)
    assert np.abs(plain[1] - expected[1]).max() > 0.1
    off = np.abs(got[1] - expected[1]).reshape(len(plain[1]), -1).max(1) > 0.02
    assert off.mean() < 0.05 and np.allclose(got[0], plain[0], rtol=1e-5)  # a ray may graze a surfel's edge


def test_a_metal_that_meets_a_metal_shows_the_sky():
    """A mirror that sees nothing but a polished metal floor, which sees a white sky, is as bright as that reflects."""
    x, y = np.meshgrid(np.arange(-0.45, 0.45, CELL), np.arange(-0.45, 0.45, CELL))
    floor = np.stack([x.ravel(), y.ravel(), np.full(x.size, -0.2)], 1).astype(np.float32)
    scene = grid.Grid(*surfels(floor, np.tile(np.float32([0, 0, 1]), (len(floor), 1))), RESOLUTION)
    white, count = ggx.build_pyramid(np.ones((4, 8, 3), np.float32)), len(scene)
    rows = np.tile(np.float32([0, 0, 1, 0.1, 0.5, 0.6, 0.7, 1]), (count, 1))
    down, point = unit(np.float32([[0.1, 0, -1]])), np.float32([[0, 0, 0]])
    _, traced, blocked = specular.trace_specular(
        scene, np.zeros(1, np.int32), down, down, np.full(1, 0.1, np.float32), np.zeros((count, 4), np.float32), white,
        np.eye(3), mirrors=specular.Mirrors(rows, white), points=(point, down))
    assert blocked[0] == 1
    assert np.allclose(traced[0].sum(0), [0.5, 0.6, 0.7], atol=0.02)


def test_reflections_start_where_points_are(still_life, light):  # noqa: F811
    (index, view, normal, roughness), turn = shading(still_life, 200), TURNED.astype(np.float32)
    shift = np.random.default_rng(2).normal(0, 0.2 * still_life.cell, (200, 3))
    points = (still_life.position[index] + shift).astype(np.float32), still_life.normal[index]
    same, radiosity = np.zeros(200, np.int32), rgb0(np.abs(still_life.normal))
    got = specular.trace_specular(still_life, same, view, normal, roughness, radiosity, ggx.build_pyramid(light), turn,
                                  rays=8, points=points)
    expected = twin.trace_specular(still_life, same, view, normal, roughness, radiosity, twin_ggx.build_pyramid(light),
                                   turn, rays=8, points=points)
    assert 0.1 < expected[2].mean() < 0.9
    for a, b in zip(got, expected):
        off = ~np.isclose(a, b, rtol=5e-3, atol=5e-3).reshape(len(a), -1).all(1)
        assert off.mean() <= 0.03  # a ray may graze a surfel's edge


def test_points_have_as_many_rays_as_they_ask_for(still_life, light):  # noqa: F811
    surface, sky = shading(still_life, 300), ggx.build_pyramid(light)
    given = still_life, *surface, rgb0(np.abs(still_life.normal)), sky, TURNED.astype(np.float32)
    fewer = np.random.default_rng(1).integers(0, 3, 300).astype(np.uint8)
    mixed = specular.trace_specular(*given, rays=16, fewer=fewer)
    index, view, normal, roughness = surface
    ask = still_life.normal[index], view, normal, roughness, index, TURNED
    opened = specular.reflect(sky, *ask, rays=16, fewer=fewer)
    for halvings in range(3):
        rows = fewer == halvings
        for one, other in zip(mixed, specular.trace_specular(*given, rays=16 >> halvings)):
            assert np.allclose(one[rows], other[rows], rtol=1e-4, atol=1e-5)
        assert np.allclose(opened[rows], specular.reflect(sky, *ask, rays=16 >> halvings)[rows], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="halved"):
        specular.reflect(sky, *ask, rays=2, fewer=fewer)


def test_what_is_hidden_is_the_same_without_the_rest(still_life, light):  # noqa: F811
    surface, sky = shading(still_life, 300), ggx.build_pyramid(light)
    given = still_life, *surface, rgb0(np.abs(still_life.normal)), sky, TURNED.astype(np.float32)
    whole, hidden = (specular.trace_specular(*given, rays=8, hidden_only=only) for only in (False, True))
    assert np.array_equal(whole[2], hidden[2]) and (hidden[0] == 0).all((1, 2)).sum() > 20
    one, other = (traced - opened * (1 - blocked)[:, None, None] for opened, traced, blocked in (whole, hidden))
    assert np.allclose(one, other, atol=1e-4) and np.abs(one).max() > 0.1


def test_points_of_several_lights_have_their_own(still_life, light):  # noqa: F811
    """What shows of a merged scene in several lights together is what shows of it in each."""
    rng, sky, merged = np.random.default_rng(4), ggx.build_pyramid(light), 50
    group, owners = rng.integers(0, 3, 300).astype(np.int32), rng.integers(0, merged, len(still_life)).astype(np.int32)
    turns = np.linalg.qr(rng.normal(size=(3, 3, 3)))[0].astype(np.float32)
    radiosity = np.stack([rgb0(rng.random((merged, 3)).astype(np.float32)) for _ in range(3)])
    rows = np.tile(np.float32([0, 0, 1, 0.3, 0.5, 0.6, 0.7, 0.8]), (len(still_life), 1))
    (index, view, normal, roughness), mirrors = shading(still_life, 300), specular.Mirrors(rows, sky)
    together = (*specular.trace_specular(still_life, index, view, normal, roughness, radiosity, sky, turns, rays=8,
                                         mirrors=mirrors, owners=owners, group=group),
                specular.reflect(sky, still_life.normal[index], view, normal, roughness, index, turns, group=group))
    for number, turn in enumerate(turns):
        at = np.flatnonzero(group == number)
        own = index[at], view[at], normal[at], roughness[at]
        alone = (*specular.trace_specular(still_life, *own, radiosity[number][owners], sky, turn, rays=8,
                                          mirrors=mirrors),
                 specular.reflect(sky, still_life.normal[own[0]], *own[1:], own[0], turn))
        for one, other in zip(together, alone):
            np.testing.assert_allclose(one[at], other, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="group"):
        specular.reflect(sky, still_life.normal[index], view, normal, roughness, index, turns[:2], group=group)


def test_white_furnace():
    """Under a white sky, with F0 = F90 = 1 and no hits, a surfel reflects its directional albedo."""
    scene = grid.Grid(*surfels(*ball(0.3)[:2]), RESOLUTION)
    index, view, normal, roughness = shading(scene, 2000, bend=0)
    lit = (view * normal).sum(1) > 0.1
    white = ggx.build_pyramid(np.ones((4, 8, 3), np.float32))
    black = np.zeros((len(scene), 4), np.float32)
    sky, traced, blocked = specular.trace_specular(scene, index, view, normal, roughness, black, white, np.eye(3),
                                                   rays=256)
    assert blocked.max() == 0 and np.array_equal(sky, traced)
    expected = ggx.look_up_brdf(roughness, (view * normal).sum(1))
    assert np.abs(sky[lit, :, 0] - expected[lit]).max() < 0.02
    assert np.abs(sky[lit, :, 0] - expected[lit]).mean() < 0.003


def test_specular_in_a_closed_room_sees_the_walls():
    scene = grid.Grid(*surfels(*inside_out(box((0.3, 0.25, 0.2)))[:2]), RESOLUTION)
    white = ggx.build_pyramid(np.ones((4, 8, 3), np.float32))
    walls = rgb0(np.full((len(scene), 3), 0.25, np.float32))
    sky, traced, blocked = specular.trace_specular(scene, *shading(scene, 1000, bend=0), walls, white, np.eye(3),
                                                   rays=16)
    assert (blocked > 0.999).mean() > 0.995
    assert np.allclose(traced[blocked > 0.999], 0.25 * sky[blocked > 0.999], atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_sun_is_mirrored_where_it_stands(seed):
    """A one-texel sun in a turned map shows in the surfel whose mirror direction points at it, and in no other."""
    rng = np.random.default_rng(seed)
    asset_to_map = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32)
    sun_map, row, column = np.zeros((64, 128, 3), np.float32), rng.integers(8, 56), rng.integers(0, 128)
    sun_map[row, column] = 1000
    theta, phi = (row + 0.5) * np.pi / 64, np.pi - (column + 0.5) * np.pi / 64
    sun = np.array([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]) @ asset_to_map
    scene = grid.Grid(*surfels(*ball(0.3)[:2]), RESOLUTION)
    index = np.flatnonzero(scene.normal @ sun > 0.3).astype(np.int32)
    n = scene.normal[index]
    view = unit(2 * (n @ sun)[:, None] * n - sun)
    away = unit(view + 0.5 * np.cross(n, view))
    dark = np.zeros((len(scene), 4), np.float32)
    for v, low, high in ((view, 0.5, 1.1), (away, -1, 1e-3)):
        sky, _, _ = specular.trace_specular(scene, index, unit(v), n, np.full(len(index), 0.05, np.float32), dark,
                                            ggx.build_pyramid(sun_map), asset_to_map, rays=16)
        assert low < np.median(sky.sum(1)) / 1000 < high


def test_hostile_numbers_do_no_harm(still_life):  # noqa: F811
    bad = np.float32([[np.nan] * 3, [np.inf, 0, 0], [0, 0, 0], [1e30, -1e30, 1e30], [-np.inf, np.nan, 1]])
    white = ggx.build_pyramid(np.ones((4, 8, 3), np.float32))
    index, roughness, sent = np.arange(5, dtype=np.int32), bad[:, 0].copy(), rgb0(still_life.position)
    metal = specular.Mirrors(np.tile(np.float32([np.nan, 0, np.inf, np.nan, 1, 1, 1, 1]), (len(still_life), 1)), white)
    for mirrors in (None, metal):
        specular.trace_specular(still_life, index, bad, bad, roughness, sent, white, np.eye(3), mirrors=mirrors)
        specular.trace_specular(still_life, *shading(still_life, 5), sent, white, np.eye(3), mirrors=mirrors)


@pytest.mark.slow
def test_speed_on_two_threads():
    scene = crowded(128, 40_000)
    light = ggx.build_pyramid(np.random.default_rng(0).random((512, 1024, 3)).astype(np.float32))
    surface, radiosity = shading(scene, 20_000), rgb0(np.abs(scene.position))
    stopwatch("specular 20000 x 4", 0.06,
              lambda: specular.trace_specular(scene, *surface, radiosity, light, np.eye(3), rays=4, threads=2))
