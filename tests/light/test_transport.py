"""The parts of a map, what they light, and how a prepared light turns."""

import numpy as np
import pytest

from near_core._kernels import ggx, specular
from near_core.asset import Surfels, concatenate
from near_core.directions import fibonacci_sphere
from near_core.light import transport
from near_core.light.config import TransportConfig
from near_core.scene import Environment
from near_core.scene import camera as cameras
from near_core.scene import environment as environments
from tests.light.test_terms import sunny
from tests.surfaces import lay, lay_ball, spread


def floor(side: int = 24) -> Surfels:
    """A level square of surfels."""
    return lay(np.insert(spread(side) + side / 256, 2, 0.004, 1), (0, 0, 1), roughness=0.5, metallic=1)


def window() -> Environment:
    room = np.full((64, 128, 3), 0.2, np.float32)
    room[20:28, 80:96] = 2.0
    return Environment(room)


def test_a_sun_that_a_mirrored_metal_shows_is_dim_where_it_is_looked_up_narrowly_alone():
    light = transport.prepare_light(sunny(3000.0), TransportConfig(mirror_rows=32))
    limited, limit = light.limited, TransportConfig().spot_glare * light.mean
    assert limited.height == 32 and limited.levels == light.pyramid.levels - 1
    assert light.pyramid.level(1).max() > 2 * limit >= limited.level(0).max()
    np.testing.assert_allclose(limited.level(4), light.pyramid.level(5), rtol=1e-5)


@pytest.mark.parametrize("environment, suns, spots", [(sunny(3000.0), True, True), (window(), True, False),
                                                      (sunny(1.0), False, False)])
def test_the_parts_of_a_map_hold_its_energy(environment, suns, spots):
    light, limits = transport.prepare_light(environment), TransportConfig()
    assert (light.spots > 0) == spots and (len(light.suns) > 0) == suns and light.sun_weight.any(1).all()
    assert light.spots <= limits.spot_directions and len(light.suns) - light.spots <= limits.sun_directions
    assert (light.base is light.pyramid) == (not spots)
    whole = 4 * np.pi * ggx.average_radiance(light.pyramid)
    sky = 4 * np.pi * ggx.average_radiance(light.sky)
    np.testing.assert_allclose(sky + light.sun_weight.sum(0), whole, rtol=0.01)
    left = 4 * np.pi * ggx.average_radiance(light.base)
    np.testing.assert_allclose(left + light.sun_weight[len(light.suns) - light.spots:].sum(0), whole, rtol=0.01)


def test_what_the_sky_holds_and_what_outshines_it_light_an_open_floor_alike():
    surfels = floor()  # nothing is in the way
    for environment in (sunny(3000.0), window(), sunny(1.0)):
        light = transport.prepare_light(environment)
        for suns in (False, True):
            lit = transport.illuminate(transport.prepare_transport(surfels, 1), light, np.eye(3), suns=suns, threads=1)
            np.testing.assert_allclose(lit.direct, lit.open, rtol=1e-5)
            np.testing.assert_allclose(lit.visibility, 1, rtol=1e-5)


@pytest.mark.parametrize("rows", [20, 48, 500])  # of small maps and of such that are no power of two
def test_a_camera_sees_the_map_itself_smooth_between_its_texels(rows):
    u, v = np.meshgrid((np.arange(2 * rows) + 0.5) / (2 * rows), (np.arange(rows) + 0.5) / rows)
    world = Environment(np.stack([2 + np.sin(2 * np.pi * u), 2 + v, 1 + 0 * u], -1).astype(np.float32))
    turned = world.turn(environments.turn_z(40), 3.0)
    camera = cameras.orbit(30, 20, 2.0, 40, 640, 4)
    seen = transport.prepare_light(world).turn(turned).look_up(camera)
    np.testing.assert_allclose(seen, turned.look_up(camera.pixel_directions()), rtol=1e-4)
    steps = np.abs(np.diff(seen[..., 0], axis=1))
    assert steps.max() < 3 * np.median(steps), "no blocks"


def test_turning_the_world_lights_as_turning_the_asset():
    prepared, world = transport.prepare_transport(floor(), 1), sunny(3000.0)
    light, turn = transport.prepare_light(world), environments.turn_z(70.0)
    one = transport.illuminate(prepared, light.turn(world.turn(turn, 2.0)), np.eye(3), threads=1)
    other = transport.illuminate(prepared, light, turn, threads=1)
    np.testing.assert_array_equal(one.direct, other.direct)
    assert world.turn(turn, 2.0).hash == world.hash


def test_suns_that_lie_together_cast_one_shadow():
    light = transport.prepare_light(window())
    each, same = light.join_suns(0.0)
    np.testing.assert_allclose(each[same], light.suns, atol=1e-6)
    joined, which = light.join_suns(0.3)
    assert 1 < len(joined) < len(light.suns) and (joined[which] * light.suns).sum(1).min() > np.cos(0.6)
    assert light.join_suns(np.pi)[1].max() == 0


def test_an_asset_is_lit_in_several_rotations_as_in_each():
    bent = floor(12)
    wall = Surfels(bent.position[:, [0, 2, 1]], *2 * [bent.normal[:, [0, 2, 1]]], bent.base_color, *5 * [bent.area])
    surfels = concatenate([bent, wall])
    prepared, light = transport.prepare_transport(surfels, 1), transport.prepare_light(sunny(3000.0))
    rotations = np.stack([environments.turn_z(degrees) for degrees in (0, 100, 200)])
    together = transport.illuminate_all(prepared, light, rotations, [None] * 3, threads=1)
    for several, rotation in zip(together, rotations):
        alone = transport.illuminate(prepared, light, rotation, threads=1)
        for name in ("open", "direct", "bounced", "radiosity", "visibility", "lit"):
            np.testing.assert_allclose(getattr(several, name), getattr(alone, name), atol=1e-6)
    assert np.ptp([each.direct.mean() for each in together]) > 0.1


def test_a_worlds_sun_as_a_lamp_keeps_its_light_and_its_place():
    world = sunny(3000.0).turn(environments.turn_z(40.0), 2.0)
    rest, suns = transport.take_suns(transport.prepare_light(world).turn(world))
    lamp, = suns
    towards = lamp.matrix[:3, 2]
    assert world.look_up(towards[None].astype(np.float32)).max() > 500 > 30 > rest.look_up(
        towards[None].astype(np.float32)).max()
    whole, left = (4 * np.pi * each.strength * ggx.average_radiance(ggx.build_pyramid(each.map))
                   for each in (world, rest))
    np.testing.assert_allclose(left + lamp.color, whole, rtol=0.01)
    assert 0 < lamp.angle < 0.1


def test_a_bright_window_beside_a_sun_stays_where_it_is():
    world = sunny(3000.0)
    world.map[40:46, 20:34] = 40.0  # 17 by 39 degrees
    light = transport.prepare_light(world)
    rest, (lamp,) = transport.take_suns(light)
    assert light.base.level(0)[43, 27, 0] < 39 and rest.map[43, 27, 0] == 40 and lamp.angle < 0.1
    whole, left = (4 * np.pi * ggx.average_radiance(ggx.build_pyramid(each.map)) for each in (world, rest))
    np.testing.assert_allclose(left + lamp.color, whole, rtol=0.01)


def test_a_suns_edge_on_a_ball_is_where_it_belongs():
    light, normal = transport.prepare_light(sunny(3000.0)), fibonacci_sphere(4000)
    sun = (light.sun_weight[-light.spots:, :, None] * light.suns[-light.spots:, None]).sum((0, 1))
    sun /= np.linalg.norm(sun)
    power = light.sun_weight[-light.spots:].sum(0)
    expected = 0.2 * np.pi + np.maximum(normal @ sun, 0)[:, None] * power
    base = light.base_irradiance.sample(normal, np.zeros(len(normal), np.float32), threads=1)
    found = base + np.maximum(normal @ light.suns[-light.spots:].T, 0) @ light.sun_weight[-light.spots:]
    assert np.abs(found - expected).max() < 0.02 * power.max()


def test_without_bounces_no_surfel_sees_another():
    low, high = floor(), floor()
    high.position[:, 2] += 0.1
    high = Surfels(**{**vars(high), "normal": -high.normal, "shading_normal": -high.shading_normal})
    prepared = transport.prepare_transport(concatenate([low, high]), 1)
    light = transport.prepare_light(sunny(1.0))
    whole, once, none = (transport.illuminate(prepared, light, np.eye(3), bounces=count, threads=1)
                         for count in (4, 1, 0))
    assert not none.bounced.any() and not none.radiosity.any()
    np.testing.assert_array_equal(none.direct, whole.direct)
    assert (0 < once.bounced.sum(0)).all() and (once.bounced.sum(0) < whole.bounced.sum(0)).all()


def test_a_black_map_is_prepared_and_sends_nothing():
    light = transport.prepare_light(environments.uniform((0, 0, 0)))
    lit = transport.illuminate(transport.prepare_transport(floor(), 1), light, np.eye(3))
    assert light.mean > 0 and not lit.open.any()


def test_what_lies_close_below_a_shell_is_inside_of_it():
    """A label's back is nearer than a fold; still the surface under it says nothing about what is seen."""
    low, high = floor(), floor()
    high.position[:, 2] += 0.012
    both = transport.prepare_transport(concatenate([low, high]), 1)
    below, above = both.enclosed[:len(low)].reshape(24, 24)[6:-6, 6:-6], both.enclosed[len(low):]
    assert below.min() > 0.7 and above.max() < 0.05


def test_what_is_seen_from_behind_sends_nothing():
    low, high, light = floor(), floor(), transport.prepare_light(environments.uniform((1, 1, 1)))
    high.position[:, 2] += 0.05
    index = np.arange(len(low), dtype=np.int32)
    view, below = np.tile(np.float32([0.6, 0, 0.8]), (len(low), 1)), slice(0, len(low))
    for turned in (False, True):  # a ceiling that faces up, then the floor
        if turned:
            high.normal[:, 2] = high.shading_normal[:, 2] = -1
        both = transport.prepare_transport(concatenate([low, high]), 1)
        lit = transport.illuminate(both, light, np.eye(3), threads=1)
        assert lit.visibility[below].mean() < 0.8 and (lit.bounced[below].max() > 0) == turned
        assert (both.enclosed[below].mean() > 0.1) != turned and both.enclosed.min() >= 0 and both.enclosed.max() <= 1
        _, traced, blocked = specular.trace_specular(
            both.grid, index, view, low.normal, low.roughness, np.ones((len(both.surfels), 4), np.float32),
            ggx.build_pyramid(np.zeros((8, 16, 3), np.float32)), np.eye(3), threads=1)
        assert blocked.mean() > 0.2 and traced.any() == turned


def test_inside_of_what_glows_evenly_as_much_arrives_everywhere():
    ball = lay_ball(8000, 0.15, color=0.5).flip()
    arrives = transport.prepare_transport(ball, 1).receive(np.tile(np.float32([[2, 0.5, 0]]), (8000, 1)), 1)
    np.testing.assert_allclose(arrives.mean(0), np.pi * np.float64([2, 0.5, 0]), rtol=0.02)
    assert arrives[:, 0].std() < 0.05 * arrives[:, 0].mean()
