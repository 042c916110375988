"""kernels.lamps against its twin, for every kind of lamp."""

from dataclasses import replace

import numpy as np
import pytest

from kernels import lamps
from kernels.library import ISAS
from kernels.twins import lamps as twin
from tests.kernels.shapes import TURNED, unit
from tests.kernels.test_grid import still_life, use  # noqa: F401

AXIS = np.array([0.0, 0.6, 0.8])
CONE = np.array([[1, 0, 0], [0, 2 * 0.8, 2 * -0.6], -AXIS])  # turns AXIS into -Z, twice as narrow one way
ABOUT = {"point": {}, "spot": {"local": CONE, "edge": 0.7, "softness": 0.3},
         "area": {"axis": AXIS, "spread": 1.1}, "sun": {}}


def make(kind: str, side: int = 4) -> lamps.Emitter:
    """A square of side^2 points that looks down at the origin from afar."""
    x, y = (np.stack(np.meshgrid(*2 * [np.arange(side)]), -1).reshape(-1, 2).T + 0.5) / side - 0.5
    middle = np.array([0.1, 0.7, 0.9])
    point = middle + 0.4 * x[:, None] * [1, 0, 0] + 0.4 * y[:, None] * [0, 0.8, -0.6]
    point = unit(point) if kind == "sun" else point.astype(np.float32)
    return lamps.Emitter(kind, point, 0.05, 0.1, 0.3, middle, **ABOUT[kind])


def places(count: int = 100):
    rng = np.random.default_rng(1)
    normal = unit(rng.normal(size=(count, 3)) + [0, 0.6, 0.8])
    return rng.uniform(-0.5, 0.5, (count, 3)).astype(np.float32), normal, unit(normal + 0.5 * rng.normal(
        size=(count, 3))), rng.random(count).astype(np.float32)


@pytest.mark.parametrize("variant", ISAS)
@pytest.mark.parametrize("kind", lamps.KINDS)
def test_light_and_highlights_follow_their_twins(kind, variant, monkeypatch):
    use(variant, monkeypatch)
    lamp, (position, normal, view, roughness) = make(kind), places()
    arrives, mirrored = lamps.mirror(lamp, position, normal, view, roughness, 0.1)
    expected = twin.mirror(lamp, position, normal, view, roughness, 0.1)
    assert expected[0].max() > 0.1 and expected[1].max() > 0.01
    np.testing.assert_allclose(arrives, expected[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(mirrored, expected[1], rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(lamps.light(lamp, position, normal), arrives)


@pytest.mark.parametrize("variant", ISAS)
@pytest.mark.parametrize("kind", lamps.KINDS)
def test_what_points_ask_of_lamps_follows_its_twin(kind, variant, monkeypatch):
    use(variant, monkeypatch)
    lamp, (position, plane, normal, share) = make(kind, 2), places()
    rounded = np.arange(len(share)) % 2 == 0
    made = lamps.ask(lamp, position, plane, normal, share, rounded, 0.1, 0.2)
    expected = twin.ask(lamp, position, plane, normal, share, rounded, 0.1, 0.2)
    for one, other in zip(made, lamps.ask(lamp, position, plane, normal, share, rounded, 0.1, 0.2, threads=1)):
        assert np.array_equal(one, other)
    asked = made[0].any(1)
    assert asked.any() and not asked.all()
    for one, other in zip(made, expected):
        np.testing.assert_allclose(one, np.broadcast_to(other, one.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", ISAS)
def test_the_glare_of_suns_follows_its_twin(variant, monkeypatch):
    use(variant, monkeypatch)
    _, normal, view, roughness = places()
    rng = np.random.default_rng(3)
    towards, power = unit(rng.normal(size=(7, 3)) + AXIS), rng.uniform(1, 9, (7, 3)).astype(np.float32)
    given = towards, power, normal, view, roughness, rng.random((len(normal), 7)).astype(np.float32), 0.1, 4.0
    for one, other in zip(lamps.glare(*given), lamps.glare(*given, threads=1)):
        assert np.array_equal(one, other)
    for one, other in zip(lamps.glare(*given), twin.glare(*given)):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-4)
        assert (one @ np.float32([0.2126, 0.7152, 0.0722])).max() <= 4.001


@pytest.mark.parametrize("variant", ISAS)
@pytest.mark.parametrize("kind", lamps.KINDS)
def test_rays_to_lamps_follow_their_twin(still_life, kind, variant, monkeypatch):  # noqa: F811
    use(variant, monkeypatch)
    lamp, rng = make(kind, 6), np.random.default_rng(2)
    origin = rng.integers(0, len(still_life), 120).astype(np.int32)
    index = np.arange(120, dtype=np.int32)
    into = np.diag([0.5, 0.5, 0.5]) @ TURNED.T  # the asset is twice as large as its frame, and turned
    place = np.ascontiguousarray(still_life.position[origin] @ np.linalg.inv(into).T, np.float32)
    normal = unit(still_life.normal[origin] @ TURNED.T + 0.1 * rng.normal(size=(120, 3)))
    args = still_life, lamp, 3, index, origin, place, normal, into
    for own in (True, False):
        rays = lamps.trace(*args, own=own, kept=True)
        weight, share = twin.trace(*args, own=own)
        assert 0.1 < (weight > 0).mean() < 0.9 and len(np.unique(twin.choose(lamp, 3, index))) > 30
        off = ~np.isclose(rays.weight, weight, rtol=1e-3, atol=1e-5).all(1)
        assert off.mean() <= 0.03  # a ray may graze a surfel's edge
        np.testing.assert_allclose(rays.share[~off], share[~off], rtol=1e-3, atol=1e-4)
        row, ray = np.nonzero(rays.weight)
        if kind != "sun":
            ends = place[row] + rays.direction[row, ray] * rays.distance[row, ray, None]
            np.testing.assert_allclose(ends, lamp.point[twin.choose(lamp, 3, index)[row, ray]], atol=1e-5)


def test_rays_stop_at_lamps(still_life):  # noqa: F811
    """A lamp just above each surfel is seen, whatever lies behind it."""
    origin = np.arange(0, len(still_life), 40, dtype=np.int32)
    place, normal = still_life.position[origin], still_life.normal[origin]
    lamp, half = make("point", 1), still_life.cell / 2
    for row in range(len(origin)):
        above = np.ascontiguousarray(place[row:row + 1] + half * normal[row:row + 1])
        rays = lamps.trace(still_life, replace(lamp, point=above, middle=above[0]), 1, origin[:1], origin[row:row + 1],
                           place[row:row + 1], normal[row:row + 1], np.eye(3))
        assert rays.share[0] == 1


def test_wrong_arguments_are_refused(still_life):  # noqa: F811
    position, normal, *_ = places(4)
    args = np.zeros(4, np.int32), np.zeros(4, np.int32), position, normal, np.eye(3)
    with pytest.raises(ValueError, match="3 x 3"):
        lamps.trace(still_life, make("point", 4), 3, *args)
    with pytest.raises(ValueError, match="origin"):
        lamps.trace(still_life, make("point", 4), 2, args[0], args[0] + len(still_life), *args[2:])
    with pytest.raises(ValueError, match="normal"):
        lamps.light(make("point"), position, normal[:2])
