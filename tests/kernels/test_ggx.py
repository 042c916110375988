"""kernels.ggx against its twin and against closed forms and quadrature."""

import time

import numpy as np
import pytest

from kernels import ggx
from kernels.library import ISAS, isa
from kernels.twins import ggx as twin
from tests.machine import slowness


def unit(x):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def random_directions(count, seed=0):
    return unit(np.random.default_rng(seed).normal(size=(count, 3)))


def random_map(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3)).astype(np.float32) ** 4 * 10


def sky(height=128):
    """A smooth sky, brighter above and towards +Y, with a dark ground."""
    d = ggx.compute_directions(height)
    glow = np.exp(4 * (d @ np.float32([0.3, 0.8, 0.52]) - 1))
    return (np.where(d[..., 2] > 0, 1, 0.2)[..., None] * (0.3 + glow[..., None] * [5, 3, 2])).astype(np.float32)


def sun(height=128, row=40, column=100, radiance=10_000.0):
    """A map with one bright texel: map, its direction, radiance times solid angle."""
    light = np.zeros((height, 2 * height, 3), np.float32)
    light[row, column] = np.array([1, 0.5, 0.25]) * radiance / np.sin((row + 0.5) * np.pi / height)
    solid = (np.cos(row * np.pi / height) - np.cos((row + 1) * np.pi / height)) * np.pi / height
    return light, ggx.compute_directions(height)[row, column].astype(float), light[row, column] * solid


def sphere_mean(level):
    edge = np.cos(np.linspace(0, np.pi, len(level) + 1))
    return ((edge[:-1] - edge[1:]) @ level.astype(float).mean(1)) / 2


def test_map_directions():
    """The centre is +X, a quarter +Y, the top row +Z."""
    d = ggx.compute_directions(256)
    assert np.allclose(d[127:129, 255:257].mean((0, 1)), [1, 0, 0], atol=1e-4)
    assert np.allclose(d[127:129, 127:129].mean((0, 1)), [0, 1, 0], atol=1e-4)
    assert d[0, :, 2].min() > 0.9999
    u, v = twin.equirect(d.astype(float))
    assert np.allclose(u, (np.arange(512) + 0.5) / 512, atol=1e-6)
    assert np.allclose(v, (np.arange(256)[:, None] + 0.5) / 256, atol=1e-6)


@pytest.mark.parametrize("size", [(64, 128), (128, 256), (100, 180), (7, 5), (1, 1), (200, 100)])
def test_pyramid(size):
    light = random_map(*size)
    levels, expected = ggx.build_pyramid(light), twin.build_pyramid(light)
    assert levels.level(levels.levels - 1).shape == (2, 4, 3) and len(expected) == levels.levels
    for k, level in enumerate(expected):
        assert np.allclose(levels.level(k), level, rtol=1e-4, atol=1e-4)
        assert np.allclose(sphere_mean(levels.level(k)), sphere_mean(levels.level(0)), rtol=2e-3)
    assert np.allclose(sphere_mean(levels.level(0)), ggx.average_radiance(light), rtol=1e-5)
    if size == (64, 128):
        assert np.array_equal(levels.level(0), light)


def test_large_maps_are_averaged_down():
    assert ggx.build_pyramid(np.ones((2500, 8, 3), np.float32)).height == 2048


@pytest.mark.parametrize("variant", ISAS)
def test_sample(monkeypatch, variant):
    monkeypatch.setenv("NEAR_ISA", variant)
    if isa() != variant:
        pytest.skip(f"this machine has no {variant}")
    light = random_map(64, 128)
    seam = unit(np.float32([[-1, 1e-4, 0], [-1, -1e-4, 0], [-1, 0, 0], [1e-4, 0, 1], [0, 1e-4, 1], [0, 0, 1]]))
    d = np.concatenate([random_directions(5000), seam])
    lod = np.random.default_rng(1).uniform(-1, 7, len(d)).astype(np.float32)
    expected = twin.sample(twin.build_pyramid(light), d, lod)
    assert np.allclose(ggx.build_pyramid(light).sample(d, lod), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("variant", ISAS)
@pytest.mark.parametrize("size", [(64, 128), (100, 180), (7, 5), (1, 1)])
def test_lookup(monkeypatch, variant, size):
    monkeypatch.setenv("NEAR_ISA", variant)
    if isa() != variant:
        pytest.skip(f"this machine has no {variant}")
    light, turn = random_map(*size), np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    d = np.concatenate([random_directions(5000), np.float32([[-1, 1e-4, 0], [-1, -1e-4, 0], [0, 0, 1], [0, 0, -1]])])
    expected = 2 * twin.look_up(light, d)
    assert np.allclose(ggx.look_up(light, d, np.eye(3), 2.0), expected, rtol=1e-3, atol=1e-3)
    longer = (3 * d[:5000] @ turn).astype(np.float32)
    assert np.allclose(ggx.look_up(light, longer, turn, 2.0), expected[:5000], rtol=1e-3, atol=1e-3)


def test_sample_has_no_seams():
    p = ggx.build_pyramid(random_map(64, 128))
    turn = np.linspace(0, np.pi, 64, endpoint=False)
    seam = np.stack([-np.cos(turn / 9), 1e-6 * np.ones(64), np.sin(turn / 9)], 1)
    pole = np.stack([1e-6 * np.cos(turn), 1e-6 * np.sin(turn), np.ones(64)], 1)
    for k in range(p.levels):
        lod = np.full(64, k, np.float32)
        for d, across in ((seam, [1, -1, 1]), (pole, [-1, -1, 1]), (pole * [1, 1, -1], [-1, -1, 1])):
            here, there = (p.sample(x.astype(np.float32), lod) for x in (d, d * across))
            assert np.allclose(here, there, atol=1e-2)


def test_hostile_directions_do_no_harm():
    bad = np.float32([[np.nan] * 3, [np.inf, 0, 0], [0, 0, 0], [-np.inf, np.nan, 1], [1e30, 1e30, -1e30]])
    p = ggx.build_pyramid(np.ones((8, 16, 3), np.float32))
    for lod in (np.nan, np.inf, -np.inf, 0):
        assert p.sample(bad, np.full(5, lod, np.float32)).shape == (5, 3)
    assert ggx.look_up(np.ones((8, 16, 3), np.float32), bad, np.eye(3)).shape == (5, 3)


@pytest.mark.parametrize("size", [(1, 1), (2, 4), (16, 32), (300, 600), (512, 1024)])
def test_irradiance_of_a_constant_is_pi(size):
    assert np.allclose(ggx.integrate_irradiance(np.full((*size, 3), 2, np.float32)), 2 * np.pi, rtol=1e-3)


def test_irradiance_follows_its_twin():
    for light in (random_map(128, 256), sky(64)):
        expected = twin.integrate_irradiance(light, ggx.compute_directions(16).reshape(-1, 3)).reshape(16, 32, 3)
        assert np.allclose(ggx.integrate_irradiance(light), expected, rtol=2e-3)
        n = random_directions(200)
        for rows, rtol in ((16, 0.05), (64, 0.01)):
            level = ggx.make_single_level(ggx.integrate_irradiance(light, rows))
            looked_up = level.sample(n, np.zeros(200, np.float32))
            assert np.allclose(looked_up, twin.integrate_irradiance(light, n), rtol=rtol)


def test_irradiance_of_a_sun_is_a_cosine():
    light, direction, energy = sun()
    expected = np.maximum(ggx.compute_directions(16) @ direction, 0)[..., None] * energy
    assert np.allclose(ggx.integrate_irradiance(light), expected, atol=1e-3 * energy.max())


@pytest.mark.parametrize("light", [sky(128), sun()[0]], ids=["sky", "sun"])
def test_prefilter_follows_quadrature(light):
    roughness = (0.3, 0.5, 0.8, 1.0)
    for level, r in zip(ggx.prefilter(light, roughness, 8), roughness):
        expected = twin.prefilter(light, r, ggx.compute_directions(8).reshape(-1, 3)).reshape(8, 16, 3)
        assert np.allclose(level, expected, atol=0.01 * expected.max())


def test_narrow_prefilter():
    light = sky(128)
    mirror, narrow = ggx.prefilter(light, (0, 0.2), 64)
    some = (slice(3, None, 8), slice(5, None, 8))
    expected = twin.prefilter(light, 0.2, ggx.compute_directions(64)[some].reshape(-1, 3))
    assert np.allclose(mirror, ggx.build_pyramid(light).level(1), rtol=0.05, atol=0.05)
    assert np.abs(narrow[some].reshape(-1, 3) / expected - 1).mean() < 0.02
    for r in (0.05, 0.2):  # a sun stays where it is, with its energy
        shine = ggx.prefilter(sun()[0], [r], 32)[0]
        assert np.allclose(sphere_mean(shine), sphere_mean(sun()[0]), rtol=0.1)
        y, x = np.unravel_index(shine[..., 0].argmax(), shine.shape[:2])
        assert ggx.compute_directions(32)[y, x] @ sun()[1] > np.cos(np.radians(8))  # texels of 5.6 degrees


def test_prefilter_keeps_a_constant():
    assert np.allclose(ggx.prefilter(np.full((32, 64, 3), 3, np.float32), (0, 0.1, 0.2, 0.3, 0.6, 1), 16), 3, rtol=1e-4)


def test_brdf_follows_quadrature():
    """Scale and bias by summing D F G / (4 n.v) over the hemisphere of half vectors."""
    theta, phi = (np.arange(4000) + 0.5) / 4000 * np.pi / 2, (np.arange(200) + 0.5) / 200 * np.pi
    theta = theta[:, None]
    h = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi], -1)
    solid = np.sin(theta) * (np.pi / 2 / 4000) * (2 * np.pi / 200)
    for roughness, n_dot_v in ((0.2, 0.9), (0.5, 0.3), (0.5, 0.7), (0.8, 0.15), (1.0, 0.5), (1.0, 1.0)):
        a2 = roughness**4
        v = np.array([np.sqrt(1 - n_dot_v**2), 0, n_dot_v])
        vh = h @ v
        l = 2 * vh[..., None] * h - v
        smith = lambda z: 0.5 * (np.sqrt(1 + a2 * (1 - z * z) / z**2) - 1)  # noqa: B023 (called at once)
        lz = np.maximum(l[..., 2], 1e-9)
        d = a2 / (np.pi * (h[..., 2] ** 2 * (a2 - 1) + 1) ** 2)
        f = d / (1 + smith(n_dot_v) + smith(lz)) / n_dot_v * vh * solid  # D G / (4 n.v n.l) n.l dl, dl = 4 v.h dh
        f = np.where((vh > 0) & (l[..., 2] > 0), f, 0)
        fresnel = (1 - np.clip(vh, 0, 1)) ** 5
        expected = np.array([(f * (1 - fresnel)).sum(), (f * fresnel).sum()])
        found = ggx.look_up_brdf(np.array(roughness), np.array(n_dot_v))
        assert np.allclose(found, expected, atol=0.01), (roughness, n_dot_v)


def test_brdf_table():
    table = ggx.tabulate_brdf(32)
    assert table is ggx.tabulate_brdf(32) and table.shape == (32, 32, 2)
    assert np.allclose(table[0, 2:].sum(-1), 1, atol=0.01)  # a mirror reflects everything
    assert (np.diff(table.sum(-1)[:, 8:], axis=0) < 1e-3).all()  # roughness only loses
    assert table.min() >= 0 and table.sum(-1).max() < 1.001
    unit_interval = np.linspace(0, 1, 32, dtype=np.float32)
    assert np.allclose(ggx.look_up_brdf(*np.meshgrid(unit_interval, unit_interval, indexing="ij")), table, atol=1e-5)


def test_solid_angle_mean():
    assert np.allclose(ggx.average_radiance(np.ones((33, 57, 3), np.float32)), 1, rtol=1e-5)
    light, _, energy = sun()
    assert np.allclose(ggx.average_radiance(light), energy / (4 * np.pi), rtol=1e-4)


@pytest.mark.parametrize("light", [sky(), random_map(256, 512), sun()[0] + sky()], ids=["sky", "noise", "sun"])
def test_importance_directions_estimate_integrals(light):
    """For any f the weighted sum is right on average, and near in a single draw."""
    centre, solid = twin.texel_centres(len(light))
    axis = unit(np.float32([[0.2, -0.5, 0.8]]))[0]
    for f in (lambda d: np.maximum(d @ axis, 0), lambda d: (d @ axis) ** 2, lambda d: (d[..., 0] > 0.1).astype(float)):
        truth = np.einsum("yx,yxc->c", f(centre) * solid, light)
        draws = []
        for seed in range(30):
            d, weight = ggx.draw_directions(light, 64, seed)
            assert d.shape == weight.shape == (64, 3) and np.allclose(np.linalg.norm(d, axis=1), 1, atol=1e-5)
            draws.append(f(d.astype(float)) @ weight)
        assert np.allclose(np.mean(draws, 0), truth, rtol=0.05)
        assert np.abs(np.array(draws) / truth - 1).mean() < 0.15


def test_importance_directions_keep_the_luminance():
    for count in (1, 7, 48, 500):
        _, weight = ggx.draw_directions(sky(), count)
        assert np.allclose(weight.sum(0) @ ggx.LUMINANCE, 4 * np.pi * sphere_mean(sky()) @ ggx.LUMINANCE, rtol=1e-3)


@pytest.mark.parametrize("row", [0, 40, 64, 127])
def test_a_sun_is_one_direction_with_its_whole_energy(row):
    light, direction, energy = sun(row=row)
    light += 0.2
    for seed in range(5):
        d, weight = ggx.draw_directions(light, 16, seed)
        caught = d @ direction > np.cos(np.radians(0.4))  # a texel is 1.4 high
        assert caught.sum() == 1
        assert np.allclose(weight[caught][0], energy, rtol=0.01, atol=1e-3)


def test_importance_directions_in_the_dark():
    d, weight = ggx.draw_directions(np.zeros((8, 16, 3), np.float32), 32)
    assert d.shape == (32, 3) and np.isfinite(d).all() and (weight == 0).all()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="light"):
        ggx.build_pyramid(np.ones((4, 8), np.float32))
    with pytest.raises(ValueError, match="light"):
        ggx.build_pyramid(np.ones((0, 8, 3), np.float32))
    with pytest.raises(ValueError, match="lod"):
        ggx.build_pyramid(np.ones((4, 8, 3), np.float32)).sample(random_directions(3), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="power of two"):
        ggx.make_single_level(np.ones((12, 24, 3), np.float32))


@pytest.mark.timing
@pytest.mark.slow
def test_speed_on_two_threads():
    """Prints milliseconds; the machine may be busy, so only gross regressions fail."""
    light = random_map(512, 1024)
    levels = ggx.build_pyramid(light)
    for what, allowed, call in (
            ("pyramid and irradiance", 0.06,
             lambda: ggx.integrate_irradiance(ggx.build_pyramid(light, threads=2), threads=2)),
            ("prefilter 6 x 32 x 64", 0.06, lambda: ggx.prefilter(levels, np.linspace(0, 1, 6), 32, threads=2)),
            ("importance directions", 0.02, lambda: ggx.draw_directions(levels, 48, threads=2))):
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        print(f"{what}: {1000 * min(seconds):.1f} ms, allowed {1000 * allowed:.0f}")
        assert min(seconds) < 4 * allowed * slowness()


def test_reflections_of_the_open_map_are_those_of_a_traced_convex_ball():
    from kernels import grid, specular
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((400, 3)).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    view = normal + 0.5 * rng.standard_normal((400, 3)).astype(np.float32)
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    roughness = rng.uniform(0.1, 1, 400).astype(np.float32)
    light = ggx.build_pyramid(rng.uniform(0, 2, (64, 128, 3)).astype(np.float32))
    index = np.arange(400, dtype=np.int32)
    ball = grid.Grid(normal * np.float32(0.4), normal, 64)
    opened, _, _ = specular.trace_specular(ball, index, view, normal, roughness, np.zeros((400, 4), np.float32), light,
                                           np.eye(3, dtype=np.float32), rays=512)
    made = specular.reflect(light, normal, view, normal, roughness, index, np.eye(3), rays=512)
    assert np.abs(made - opened).max() < 0.1 and np.abs(made - opened).mean() < 0.003
    white = ggx.build_pyramid(np.ones((64, 128, 3), np.float32))
    assert specular.reflect(white, normal, view, normal, roughness, index, np.eye(3)).sum(1).max() < 1.001
