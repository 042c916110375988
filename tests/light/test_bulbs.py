"""Small bright things in a probe become lamps in their place."""

import numpy as np
import pytest

from near_core._kernels import ggx
from near_core.image import luminance
from near_core.light import lamps
from near_core.light.bulbs import take_bulbs
from near_core.scene import Lamp, Occluders, Probe
from near_core.scene import environment as environments

ROWS = 64
SKY = environments.uniform((0.1, 0.1, 0.1))


def show(middle, radius: float, glow: float = 50.0) -> Probe:
    """A probe at (1, 2, 3) of a glowing orange ball; middle: (3,), from there."""
    direction, middle = ggx.compute_directions(ROWS).astype(np.float64), np.float64(middle)
    along = direction @ middle
    inside = along ** 2 - middle @ middle + radius ** 2
    hit = (inside > 0) & (along > 0)
    distance = np.where(hit, along - np.sqrt(np.maximum(inside, 0)), np.inf).astype(np.float32)
    radiance = np.zeros((ROWS, 2 * ROWS, 4), np.float32)
    radiance[hit] = glow, 0.5 * glow, 0.1 * glow, 1
    return Probe(radiance, distance, np.float64([1, 2, 3]))


def test_a_bulb_is_a_lamp_where_it_stands():
    middle, radius = np.float64([0.6, 0.3, -0.2]), 0.08
    probe, (lamp,) = take_bulbs(show(middle, radius), SKY)
    np.testing.assert_allclose(lamp.position - [1, 2, 3], middle, atol=0.02)
    assert lamp.radius == pytest.approx(radius, rel=0.25) and luminance(probe.radiance[..., :3]).max() < 5
    place = np.float32([[1.4, 2.2, 2.9]])  # nearer to it than the probe
    _, away, strength = lamps.sample(lamp, place[0].astype(np.float64), 1).reach(place)
    apart = float(np.linalg.norm(middle + [1, 2, 3] - place[0]))
    expected = np.pi * 50 * radius ** 2 / apart ** 2  # radiance times the ball's solid angle
    assert strength.sum() * lamp.color[0] == pytest.approx(expected, rel=0.35)


@pytest.mark.parametrize("probe", [show((0.6, 0, 0), 0.3), show((0.6, 0, 0), 0.05, 0.5)], ids=["wide", "dim"])
def test_what_is_wide_or_dim_stays_in_the_probe(probe):
    same, found = take_bulbs(probe, SKY)
    assert same is probe and found == []


def test_surroundings_darker_than_black_have_no_bulbs():
    probe = show((0.6, 0.3, -0.2), 0.08, glow=-0.1)
    probe.radiance[np.isinf(probe.distance)] = -1, -1, -1, 1
    assert take_bulbs(probe, environments.uniform((0, 0, 0)))[1] == []


def test_a_bulb_around_the_probe_is_no_lamp_elsewhere():
    probe = show((0.6, 0.3, -0.2), 0.08)
    probe.distance[np.isfinite(probe.distance)] = 0
    _, found = take_bulbs(probe, SKY)
    assert all((lamp.position == probe.position).all() for lamp in found)


def test_a_tube_is_a_row_of_bulbs_with_its_light():
    balls = [show((0.6, y, 0.1), 0.04) for y in np.linspace(-0.3, 0.3, 25)]
    nearest = np.argmin([each.distance for each in balls], 0)[None, ..., None]
    radiance = np.take_along_axis(np.stack([each.radiance for each in balls]), nearest, 0)[0]
    tube = Probe(radiance, np.min([each.distance for each in balls], 0), balls[0].position)
    _, found = take_bulbs(tube, SKY)
    places = np.array(sorted(tuple(lamp.position - tube.position) for lamp in found))
    assert 3 <= len(found) <= 5 and np.ptp(places[:, 1]) > 0.4 and max(lamp.radius for lamp in found) < 0.1
    np.testing.assert_allclose(places[:, [0, 2]], np.tile([0.6, 0.1], (len(found), 1)), atol=0.04)


def stand(x: float) -> np.ndarray:
    """Corners of a square metre across +X of the probe's place."""
    return np.float32([[x, -0.5, -0.5], [x, 0.5, -0.5], [x, 0.5, 0.5], [x, -0.5, 0.5]]) + np.float32([1, 2, 3])


@pytest.mark.parametrize("kind", ["flame", "lamp"])
def test_what_shines_behind_glass_stands_there_and_shines_through(kind):
    pytest.importorskip("embreex")
    pane, shown = show((0.6, 0, 0), 0.05), np.int32([[0, 1, 2], [0, 2, 3]])
    behind, lamps = ([stand(1.2)], []) if kind == "flame" else ([], [Lamp("point", np.eye(4), np.ones(3))])
    if lamps:
        lamps[0].matrix[:3, 3] = 2.2, 2, 3
    occluders = Occluders(np.concatenate([stand(0.55), *behind]), np.concatenate([shown, *(shown + 4 for _ in behind)]),
                          clear=np.array([True, True] + [False, False] * len(behind)))
    _, (lamp,) = take_bulbs(pane, SKY, occluders=occluders, lamps=lamps)
    assert lamp.through_glass and lamp.position[0] - 1 == pytest.approx(1.2, rel=0.15)
    _, (lamp,) = take_bulbs(pane, SKY, occluders=Occluders(occluders.vertices, occluders.faces))
    assert not lamp.through_glass and lamp.position[0] - 1 == pytest.approx(0.6, rel=0.1)


def test_a_bulb_of_one_texel_is_in_one_piece():
    distance, radiance = np.full((256, 512), np.inf, np.float32), np.zeros((256, 512, 4), np.float32)
    distance[0, 0], radiance[0, 0] = 1, (5000, 5000, 5000, 1)
    _, (lamp,) = take_bulbs(Probe(radiance, distance, np.zeros(3)), SKY)
    np.testing.assert_allclose(lamp.position, [0, 0, 1], atol=0.02)
