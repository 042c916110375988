"""Assets beside each other, with nothing ordinary around: what a probe shows of them, and what that does to light."""

from dataclasses import replace

import numpy as np
import pytest

from near_core._kernels import grid
from near_core.asset import CELL
from near_core.render import neighbours, sight
from near_core.render.config import NeighbourConfig
from near_core.render.neighbours import Neighbour
from near_core.render.renderer import Renderer
from near_core.scene import Instance, Settings
from near_core.scene import camera as cameras
from near_core.scene import environment as environments
from tests.render.test_renderer import ball

PLAIN = Settings(shading="transport", passes=("Combined",))


@pytest.fixture(scope="module")
def white():
    return ball(0.4)


@pytest.fixture(scope="module")
def red():
    return ball(0.4, base_color=(0.9, 0.05, 0.05, 1))


def wall(x: float) -> tuple[grid.Grid, np.ndarray]:
    """A square that faces -X, 40 cells wide, at x of its own frame, and white light from it."""
    y, z = np.meshgrid(*2 * [(np.arange(40) + 0.5 - 20) * CELL])
    position = np.stack([np.full(y.size, x), y.ravel(), z.ravel()], 1).astype(np.float32)
    normal = np.tile(np.float32([-1, 0, 0]), (len(position), 1))
    return grid.Grid(position, normal, 128), np.ones_like(position)


def move(x: float, y: float = 0.0, z: float = 0.0, scale: float = 1.0) -> np.ndarray:
    matrix = np.diag([scale, scale, scale, 1.0])
    matrix[:3, 3] = x, y, z
    return matrix


def test_a_probe_shows_what_faces_it_where_it_stands():
    solid, glow = wall(0.0)
    far, near = (Neighbour(solid, glow * tone, move(x, scale=2)) for x, tone in ((1.2, 1), (0.6, 0.5)))
    probe = neighbours.draw_probe(np.float64([0.1, 0, 0]), [far, near], threads=1)
    height, width = probe.distance.shape
    ahead, behind = (height // 2, width // 2), (height // 2, 0)  # +X is in the middle
    np.testing.assert_allclose(probe.radiance[ahead], (0.5, 0.5, 0.5, 1), atol=1e-6)
    assert probe.distance[ahead] == pytest.approx(0.5, abs=0.03) and np.isinf(probe.distance[behind])
    assert not probe.radiance[behind].any()
    back = neighbours.draw_probe(np.float64([2, 0, 0]), [far], threads=1)
    assert back.radiance[height // 2, 0, 3] == 1 and not back.radiance[height // 2, 0, :3].any(), "seen from behind"


def test_those_that_look_large_get_probes_of_those_that_stand_near(white):
    placed = [Instance(white, move(*place)) for place in ((0, 0), (1, 0), (0, 30), (200, 0))]
    seen = sight.find_seen(placed, cameras.orbit(0, 10, 6, 50, 512, 512), "final")
    chosen = neighbours.choose(seen, sight.find_standing(placed))
    assert chosen == {0: ([1], 1.0), 1: ([0], 1.0)}


def test_the_last_probes_fade_away(white):
    placed = [Instance(white, move(x)) for x in range(4)]
    standing = sight.find_standing(placed)
    seen = sight.find_seen(placed, cameras.orbit(0, 10, 6, 50, 256, 256), "final")

    def find_shares(sizes) -> list[float]:
        sized = [replace(each, pixels=size) for each, size in zip(seen, sizes)]
        chosen = neighbours.choose(sized, standing, replace(NeighbourConfig(), most=2))
        return [chosen[number][1] if number in chosen else 0.0 for number in range(4)]

    assert find_shares([4, 3, 2, 1]) == [1, 1, 0, 0]
    assert find_shares([4, 2.25, 2, 1]) == [1, 0.5, 0, 0], "hardly larger than the first without"
    assert find_shares([4, 2, 2, 1]) == [1, 0, 0, 0]
    assert find_shares([np.inf] * 3 + [1]) == [1, 1, 0, 0], "the camera is among them"
    assert find_shares([0.45, 0.3, 0, 0]) == [0.5, 0, 0, 0], "or than what gets none"


def test_equal_ones_in_a_row_all_get_probes():
    shares = lambda *sizes: neighbours.find_shares(np.array(sizes, float)).tolist()
    assert shares(*[2.0] * 13) == [1] * 13, "as an orthographic camera sees a row"
    assert shares(*[2.0] * 40) == [0] * 40, "too many"
    assert 0 < shares(2.2, *[2.0] * 13)[13] < 1 and shares(3, *[2.0] * 13)[1:] == [0] * 13, "no step between"


def test_none_is_looked_for_around_those_that_get_no_probe(white):
    placed = [Instance(white, move(x)) for x in range(40)]
    standing, looked = sight.find_standing(placed), []

    class Centers(np.ndarray):
        def __sub__(self, other):
            looked.append(other)
            return np.asarray(self) - other

    seen = sight.find_seen(placed, cameras.orbit(0, 80, 60, 50, 4096, 64), "final")
    assert neighbours.choose(seen, replace(standing, center=standing.center.view(Centers))) and len(looked) <= 32


def test_a_neighbour_shadows_the_sky_and_colours_what_is_beside_it(white, red):
    renderer, camera = Renderer(), cameras.orbit(0, 5, 3, 50, 192, 192)
    sky = environments.uniform((1, 1, 1))
    alone = renderer.render([Instance(white, move(0))], camera, sky, PLAIN)["Combined"]
    both = [Instance(white, move(0)), Instance(red, move(0.85))]
    beside = renderer.render(both, camera, sky, PLAIN)["Combined"]
    columns = np.flatnonzero(alone[96, :, 3] > 0.99)
    kept = beside[88:104, :, :3].mean(0) / np.maximum(alone[88:104, :, :3].mean(0), 1e-3)
    near, far = kept[columns[-6:]].mean(0), kept[columns[:6]].mean(0)
    assert near[1] < 0.92 and near[0] > near[1] + 0.05, "darker, and redder"
    np.testing.assert_allclose(far, 1, atol=0.03)


def test_what_glows_lights_what_stands_beside_it(white):
    ember = ball(0.1, base_color=(0, 0, 0, 1), emission=(100, 100, 100))
    placed = [Instance(white, move(0)), Instance(ember, move(3.4))]
    made = Renderer().render(placed, cameras.orbit(0, 0, 3, 20, 128, 128), environments.uniform((0, 0, 0)), PLAIN)
    row = made["Combined"][64, made["Combined"][64, :, 3] > 0.99, 0]
    assert row[:len(row) // 3].max() < 0.01, "the far side is dark"
    # a white point sends L (r / d)^2 where a ball of radius r and radiance L lies above it at a distance d
    assert row.max() == pytest.approx(100 * 0.1 ** 2 / 3 ** 2, rel=0.3)
