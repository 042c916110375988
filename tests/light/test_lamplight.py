"""Lamps on surfels: shadows of the asset itself, of others and of ordinary things; highlights where they belong."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.asset import Surfels, concatenate
from near_core.light import lamplight, terms, transport
from near_core.light.shadows import Caster, Surroundings
from near_core.models.mini.layout import Term
from near_core.scene import Lamp, Occluders, environment
from tests.light.test_points import touch
from tests.surfaces import lay, spread

SIDE = 48


def floor(roughness: float = 1.0) -> Surfels:
    """A level square around the asset's middle, SIDE cells wide."""
    return lay(np.insert(spread(SIDE), 2, 0.004, 1), (0, 0, 1), roughness=roughness)


def point(*location, watts: float = 100.0, **about) -> Lamp:
    matrix = np.eye(4)
    matrix[:3, 3] = location
    return Lamp("point", matrix, np.full(3, watts), **about)


@pytest.fixture(scope="module")
def prepared() -> transport.Transport:
    return transport.prepare_transport(floor(), 1)


def test_light_falls_off_with_the_square_of_its_own_distance(prepared):
    lit = lamplight.illuminate(prepared, [point(0.1, 0, 0.3)], np.eye(4), np.eye(3), threads=1)
    away = np.float32([0.1, 0, 0.3]) - prepared.surfels.position
    square = (away ** 2).sum(1)
    np.testing.assert_allclose(lit.direct[:, 0], 100 / (4 * np.pi) * away[:, 2] / square ** 1.5, rtol=1e-3)


def test_a_scaled_asset_stands_where_its_matrix_says(prepared):
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = 5, 1, 0
    far = lamplight.illuminate(prepared, [point(5, 1, 0.6, watts=400)], matrix, np.eye(3), threads=1)
    near = lamplight.illuminate(prepared, [point(0, 0, 0.3)], np.eye(4), np.eye(3), threads=1)
    np.testing.assert_allclose(far.direct, near.direct, rtol=1e-4)


def test_what_stands_between_casts_a_shadow_and_what_stands_behind_the_lamp_does_not(prepared):
    corners = np.float32([[0, -1, 0], [0, 1, 0], [0, 1, 1], [0, -1, 1]])
    faces = np.int32([[0, 1, 2], [0, 2, 3]])
    east = prepared.surfels.position[:, 0] > 0.05
    for x, dark in ((0.01, True), (0.31, False)):
        wall = Occluders(corners + np.float32([x, 0, 0]), faces)
        if not wall.are_traced:
            pytest.skip("no Embree")
        lit = lamplight.illuminate(prepared, [point(-0.3 if dark else 0.3, 0, 0.2)], np.eye(4), np.eye(3),
                                   Surroundings(occluders=wall), threads=1)
        assert (lit.direct[east] == 0).all() == dark and (lit.direct[~east & (lit.direct[:, 0] > 0)] > 0).all()
    above = np.eye(4)
    above[2, 3] = -0.1  # another floor a little above hides the lamp
    other = Surroundings((Caster(prepared.grid, above, "lid"),))
    assert not lamplight.illuminate(prepared, [point(0, 0, 0.3)], np.eye(4), np.eye(3), other, threads=1).direct.any()
    assert lamplight.illuminate(prepared, [point(0, 0, 0.05)], np.eye(4), np.eye(3), other, threads=1).direct.all()
    for center, radius, dark in (([0, 0, 0.1], 0.8, True), ([0, 0, 9.0], 0.8, False)):  # looked at where rays come near
        near = Surroundings((Caster(prepared.grid, above, "lid", None, np.array(center), radius),))
        lit = lamplight.illuminate(prepared, [point(0, 0, 0.3)], np.eye(4), np.eye(3), near, threads=1)
        assert lit.direct.any() != dark
    for about in ({"shadow": False}, {"unblocked_by": ("lid",)}):  # shadow linking lets the lid through
        free = point(0, 0, 0.3, **about)
        assert lamplight.illuminate(prepared, [free], np.eye(4), np.eye(3), other, threads=1).direct.all()


def test_an_asset_without_shadows_does_not_stand_in_its_own_way():
    low, high = floor(), floor()
    high.position[:, 2] += 0.1
    both = transport.prepare_transport(concatenate([low, high]), 1)
    below = slice(0, len(low))
    lamp = point(0, 0, 0.4)
    for around, dark in ((Surroundings(), True), (Surroundings(casts=False), False)):
        lit = lamplight.illuminate(both, [lamp], np.eye(4), np.eye(3), around, threads=1)
        assert (lit.direct[below].max() == 0) == dark


def test_shadows_of_small_lamps_have_edges_as_fine_as_points(prepared):
    edge = np.float32([[0, -1, 0.05], [0, 1, 0.05], [-1, 1, 0.05], [-1, -1, 0.05]])  # a roof over half of the floor
    faces = np.int32([[0, 1, 2], [0, 2, 3]])
    around = Surroundings(occluders=Occluders(edge, faces))
    if not around.occluders.are_traced:
        pytest.skip("no Embree")
    sun = Lamp("sun", np.eye(4), np.ones(3), angle=0.01)
    lit = lamplight.illuminate(prepared, [sun], np.eye(4), np.eye(3), around, threads=1)
    x = np.linspace(-0.01, 0.01, 81, dtype=np.float32)
    position = np.stack([x, 0 * x, np.full_like(x, 0.004)], 1)
    points = prepared.surfels.take(np.zeros(len(x), int))
    points = replace(points, position=position)
    skin = Occluders(np.float32([[-1, -1, 0.004], [1, -1, 0.004], [0, 1, 0.004]]), np.int32([[0, 1, 2]]))
    arrives = lamplight.sharpen(lit, points, np.full((len(x), 1), 0.5, np.float32), np.eye(4), np.eye(3), skin,
                                touch(points), around)
    assert (arrives[x < -0.001] == 0).all() and (arrives[x > 0.001] == 1).all()


def test_a_highlight_stands_where_the_lamp_is_mirrored():
    glossy = transport.prepare_transport(floor(0.2), 1)
    dark = transport.prepare_light(environment.uniform((0, 0, 0)))
    lit = lamplight.illuminate(glossy, [point(0.1, 0, 0.2)], np.eye(4), np.eye(3), threads=1)
    eye = np.float32([-0.1, 0, 0.2])  # halfway, at the origin, the floor mirrors the lamp
    index = np.arange(len(glossy.surfels))
    view = eye - glossy.surfels.position
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    still = transport.illuminate(glossy, dark, np.eye(3), threads=1)
    shaded = terms.shade(glossy, still, dark, np.eye(3), index, view, 8, threads=1, shining=lit)
    sent = terms.shade_lamps(glossy, lit, np.eye(4), np.eye(3), shaded)[:, Term.SPECULAR, 0]
    assert np.abs(glossy.surfels.position[sent.argmax(), :2]).max() < 1.5 / 128


def test_what_stands_in_the_way_of_one_lamp_counts_for_that_lamp_alone(prepared):
    lid, above = np.eye(4), point(0, 0, 0.3)
    lid[2, 3] = -0.1
    beside = point(0.4, 0, 0.02)
    around = Surroundings((Caster(prepared.grid, lid, "lid", "key"),), between={above.key: [0], beside.key: []})
    assert around.describe(beside) == Surroundings().describe(beside) != around.describe(above)
    lit = lamplight.illuminate(prepared, [above, beside], np.eye(4), np.eye(3), around, threads=1)
    assert not lit.lit[:, 0].any() and lit.lit[:, 1].all()


def test_lamps_that_send_little_of_the_light_take_fewer_rays(prepared):
    asked = []

    def recall(lamp: Lamp, side: int, make) -> lamplight.LampReach:
        asked.append(side)
        return make()

    wide = point(0, 0, 0.8, radius=0.1)
    dim = point(0.1, 0, 0.8, watts=0.5, radius=0.1)
    lit = lamplight.illuminate(prepared, [wide, dim], np.eye(4), np.eye(3), threads=1, recall=recall)
    assert asked == [4, 1]
    np.testing.assert_allclose(lit.direct, lit.open, rtol=1e-5)


def test_of_two_lamps_only_the_one_that_moved_is_traced_again(prepared):
    known, made = {}, []

    def recall(lamp: Lamp, side: int, make) -> lamplight.LampReach:
        if lamp.key not in known:
            made.append(lamp)
            known[lamp.key] = make()
        return known[lamp.key]

    still, before, after = point(0.1, 0, 0.3), point(-0.1, 0, 0.3), point(-0.1, 0.1, 0.3)
    lamplight.illuminate(prepared, [still, before], np.eye(4), np.eye(3), threads=1, recall=recall)
    lit = lamplight.illuminate(prepared, [still, after], np.eye(4), np.eye(3), threads=1, recall=recall)
    afresh = lamplight.illuminate(prepared, [still, after], np.eye(4), np.eye(3), threads=1)
    assert made == [still, before, after]
    np.testing.assert_array_equal(lit.direct, afresh.direct)
