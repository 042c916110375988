"""Points between surfels are lit as the surfels around them, and reflect the map by their own normal."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.asset import concatenate
from near_core.light import arrival, lamplight, points, terms, transport
from near_core.light.config import TransportConfig
from near_core.light.shadows import Feet
from near_core.models.mini.layout import Term
from near_core.scene import Environment, Lamp, Occluders
from tests.light.test_terms import floor, sunny

# the noise of fewer is averaged in pictures, and here it is not
ALL_RAYS = TransportConfig(faint_shares=(), fine_pixel=0.0)


def touch(surfels):
    """Where surfels touch a flat skin."""
    return Feet(surfels.position, surfels.normal, surfels.normal, np.zeros_like(surfels.position))


def shade(lit, met, mirrored):
    """What points send to the camera."""
    return arrival.shade_points(met.points, met.view, arrival.light_points(lit, met)(mirrored))


def lit_floor(lamps=()):
    surfels, light = floor(0.3, metallic=0.0), transport.prepare_light(sunny(200.0))
    prepared, turn = transport.prepare_transport(surfels, 1, config=ALL_RAYS), np.eye(3)
    lamplit = lamplight.illuminate(prepared, lamps, np.eye(4), turn, threads=1)
    lit = transport.illuminate(prepared, light, turn, threads=1)
    return points.LitSurface(prepared, light, lit, lamplit, np.eye(4), turn)


def see(surfels, size=0.0, **changes):
    """Points in the places of surfels, under pixels of that size."""
    return points.PixelPoints(points=surfels, size=np.full(len(surfels), size, np.float32),
                              find_feet=lambda: touch(surfels), **changes)


def shade_both(lit):
    """The floor's surfels, shaded as surfels and as points in their places."""
    index = np.arange(576)
    view = np.broadcast_to(np.float32([0, -0.6, 0.8]), (len(index), 3)).copy()
    shaded = terms.shade(lit.transport, lit.illumination, lit.light, np.eye(3), index, view, 64, threads=1,
                         shining=lit.lamps)
    met = points.meet(lit, points.tell(lit), see(shaded.surfels), view)
    return shaded, shade(lit, met, points.mirror_asset(lit, met, np.zeros(len(index), np.int32)))


def test_points_in_the_place_of_surfels_are_lit_like_them():
    lit = lit_floor()
    shaded, (made, by_lamps) = shade_both(lit)
    assert by_lamps is None
    for term in (Term.SKY_OPEN, Term.SKY, Term.BOUNCED, Term.SPECULAR_OPEN, Term.SPECULAR):
        np.testing.assert_allclose(made.terms[:, term].mean(0), shaded.terms[:, term].mean(0), rtol=0.05, atol=1e-3)
    noise = [np.abs(np.diff(each.terms[:, Term.SPECULAR, 0].reshape(24, 24), 2)).mean() for each in (shaded, made)]
    assert noise[1] < noise[0]


def test_points_mirror_no_light_through_a_wall():
    """Where a dark wall hides the bright half of the sky, points send as little of it as surfels do."""
    ground, wall = floor(0.7, metallic=0.0), floor(0.7, metallic=0.0)
    wall = replace(wall, position=wall.position[:, [2, 1, 0]] + np.float32([0.1, 0, 0]),
                   normal=-wall.normal[:, [2, 1, 0]], shading_normal=-wall.normal[:, [2, 1, 0]],
                   base_color=0 * wall.base_color)
    both = concatenate([ground, wall])
    sky = np.full((16, 32, 3), 0.1, np.float32)
    sky[:, 8:24] = 1.0  # of +X
    prepared, light = transport.prepare_transport(both, 1, config=ALL_RAYS), transport.prepare_light(Environment(sky))
    lit = points.LitSurface(prepared, light, transport.illuminate(prepared, light, np.eye(3), threads=1), None,
                            np.eye(4), np.eye(3))
    near = np.flatnonzero((both.position[:, 0] > 0.05) & (both.position[:, 0] < 0.09) & (both.normal[:, 2] > 0.9))
    view = np.broadcast_to(np.float32([-0.8, 0, 0.6]), (len(near), 3)).copy()
    shaded = terms.shade(prepared, lit.illumination, light, np.eye(3), near, view, 64, threads=1)
    met = points.meet(lit, points.tell(lit), see(shaded.surfels), view)
    made = shade(lit, met, points.mirror_asset(lit, met, near.astype(np.int32)))[0]
    sent = [each.terms[:, Term.SPECULAR].mean() for each in (made, shaded)]
    assert np.isclose(*sent, rtol=0.1) and sent[1] < 0.6 * shaded.terms[:, Term.SPECULAR_OPEN].mean()


def test_lamps_light_points_as_they_do_surfels():
    pose = np.eye(4)
    pose[:3, 3] = 0.1, 0.0, 0.4
    lamp = Lamp(kind="point", matrix=pose, color=np.array([3.0, 2, 1]), radius=0.02)
    lit = lit_floor([lamp])
    shaded, (_, by_lamps) = shade_both(lit)
    expected = terms.shade_lamps(lit.transport, lit.lamps, np.eye(4), np.eye(3), shaded)
    for term in (Term.SKY_OPEN, Term.SKY, Term.BOUNCED, Term.SPECULAR):
        np.testing.assert_allclose(by_lamps[:, term].mean(0), expected[:, term].mean(0), rtol=0.1, atol=1e-3)


def test_a_suns_shadow_ends_where_the_skin_says():
    """A narrow board above the floor, which no surfel knows of: its shadow lies where the sun puts it."""
    lit = lit_floor()
    board = np.float32([[0.05, -1, 0.05], [0.1, -1, 0.05], [0.1, 1, 0.05], [0.05, 1, 0.05]])
    skin = Occluders(board, np.int32([[0, 1, 2], [0, 2, 3]]))
    index = np.arange(576)
    view = np.broadcast_to(np.float32([0, -0.6, 0.8]), (len(index), 3)).copy()
    shaded = terms.shade(lit.transport, lit.illumination, lit.light, np.eye(3), index, view, 64, 1)
    around = points.tell(lit)

    def draw(lit):
        met = points.meet(lit, around, see(shaded.surfels), view)
        return shade(lit, met, np.zeros((len(index), 7), np.float32))[0].terms[:, Term.SKY, 0]

    bright, shadowed = draw(lit), draw(replace(lit, skin=skin))
    sun = lit.light.suns[-1]
    x = shaded.surfels.position[:, 0] + (0.05 - shaded.surfels.position[:, 2]) * sun[0] / sun[2]
    soft = 0.003 + 0.05 / sun[2] ** 2 * 1.1 * np.pi / lit.light.pyramid.height  # rays go beside the sun, too
    inside, sure = (x > 0.05) & (x < 0.1), np.minimum(np.abs(x - 0.05), np.abs(x - 0.1)) > soft
    assert inside[sure].any() and not inside[sure].all() and lit.light.spots
    dark = shadowed < 0.8 * bright
    assert (dark == inside)[sure & (shaded.surfels.position[:, 1] < 0.1)].all()


def test_only_spots_that_jump_between_points_around_are_asked():
    """Under a board: where nothing jumps, what is known holds; where it does, the skin is asked as if nothing were
    known. Points that others lie between see the edge of a shadow in finer steps."""
    lit, board = lit_floor(), np.float32([[0.05, -1, 0.05], [0.1, -1, 0.05], [0.1, 1, 0.05], [0.05, 1, 0.05]])
    lit = replace(lit, skin=Occluders(board, np.int32([[0, 1, 2], [0, 2, 3]])))
    surfels, count = lit.transport.surfels.take(np.arange(576)), 576
    view, pattern = np.broadcast_to(np.float32([0, -0.6, 0.8]), (count, 3)).copy(), np.arange(count) % 64

    def meet(known=None, **changes):
        seen = see(surfels, pattern=pattern, **changes)
        return points.meet(lit, points.tell(lit), seen, view, known=known).arrives[:, lit.spots.number]

    alone, jumps = meet(), np.zeros((count, len(lit.spots.number)), bool)
    jumps[::2] = True
    made = meet(known=(jumps, np.full(jumps.shape, 0.375, np.float32)))
    np.testing.assert_array_equal(made[::2], alone[::2])
    assert (made[1::2] == 0.375).all() and np.ptp(alone) == 1
    fine = meet(stands=np.ones(count, bool))
    assert len(np.unique(fine)) > len(np.unique(alone)) and np.abs(fine - alone).mean() < 0.1


def test_what_mirrors_little_has_fewer_rays():
    """A rough dielectric seen from above, from the side, a metal, and a polished dielectric."""
    surfels = floor(0.5, metallic=0.0).take(np.arange(4))
    surfels = replace(surfels, metallic=np.float32([0, 0, 1, 0]), roughness=np.float32([0.5, 0.5, 0.5, 0.1]))
    view = np.float32([[0, 0, 1], [0.99, 0, 0.14], [0, 0, 1], [0, 0, 1]])
    lit = lit_floor()
    lit = replace(lit, transport=replace(lit.transport, config=TransportConfig()))
    met = points.meet(lit, points.tell(lit), see(surfels), view)
    assert met.fewer.tolist() == [2, 0, 0, 1]


def test_dull_points_beside_another_mirror_what_it_does_unless_they_are_turned():
    """Beside a wall: four in a row have one that speaks for them; a turned, a smooth and a metal one trace for
    themselves."""
    ground, wall = floor(0.5, metallic=0.0), floor(0.5, metallic=0.0)
    wall = replace(wall, position=wall.position[:, [2, 1, 0]] + np.float32([0.1, 0, 0]),
                   normal=-wall.normal[:, [2, 1, 0]], shading_normal=-wall.normal[:, [2, 1, 0]])
    prepared, light = transport.prepare_transport(concatenate([ground, wall]), 1), transport.prepare_light(sunny(200.0))
    lit = points.LitSurface(prepared, light, transport.illuminate(prepared, light, np.eye(3), threads=1), None,
                            np.eye(4), np.eye(3))
    count = len(ground)
    surfels, lead = ground.take(np.arange(count)), np.arange(count) // 4 * 4
    surfels.roughness[1::4] = 0.1
    surfels.metallic[2::8] = 1
    surfels.shading_normal[6::8] = np.float32([0, 0.1, 0.995])
    view = np.broadcast_to(np.float32([0, -0.6, 0.8]), (count, 3)).copy()

    def trace(lead):
        met = points.meet(lit, points.tell(lit), see(surfels, 1e-6, lead=lead), view)
        return points.mirror_asset(lit, met, np.arange(count, dtype=np.int32))

    alone, spoken_for = trace(None), trace(lead)
    np.testing.assert_array_equal(spoken_for[3::4], spoken_for[::4])  # as dull as the first of its four
    own = np.setdiff1d(np.arange(count), np.r_[:count:4, 3:count:4])
    np.testing.assert_allclose(spoken_for[own], alone[own], atol=1e-6)
    assert alone[:, 6].max() > 0.2
    np.testing.assert_allclose(spoken_for[::4].mean(0), alone[::4].mean(0), rtol=0.1, atol=2e-3)


def test_points_mirror_a_sun_as_brightly_as_it_shines():
    """On plastic, which mirrors a twentieth of what arrives, its highlight is not dimmed."""
    sky = np.full((64, 128, 3), 0.25, np.float32)
    sky[15, 64] = 20_000  # 45 degrees above +X
    surfels, light = floor(0.25, metallic=0.0), transport.prepare_light(Environment(sky))
    prepared, turn = transport.prepare_transport(surfels, 1, config=ALL_RAYS), np.eye(3)
    lit = points.LitSurface(prepared, light, transport.illuminate(prepared, light, turn, threads=1), None, np.eye(4),
                            turn)
    index, view = np.arange(576), np.broadcast_to(np.float32([-0.7071, 0, 0.7071]), (576, 3)).copy()
    taken = surfels.take(index)
    met = points.meet(lit, points.tell(lit), see(taken), view)
    made, _ = shade(lit, met, points.mirror_asset(lit, met, np.zeros(576, np.int32)))
    sun = 20_000 * np.sin(15.5 * np.pi / 64) * (np.pi / 64) ** 2
    alpha, cosine = 0.25 ** 2, 0.7071  # of a microfacet that mirrors the sun's middle, nearly the surface's own normal
    fresnel = 0.04 + 0.96 * (1 - cosine) ** 5
    expected = fresnel * sun / (np.pi * alpha ** 2) / (4 * cosine)
    assert made.terms[:, Term.SPECULAR].mean() == pytest.approx(expected, rel=0.3)
