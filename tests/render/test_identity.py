"""Which instance covers what of a pixel: against assets whose base colour says it too."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.render import identity
from near_core.render.renderer import Renderer
from near_core.scene import INSTANCES, Instance, Settings, camera, environment
from tests.random_assets import some_asset, some_surfels

WANTED = Settings(shading="transport", passes=("Combined", "Base Color", INSTANCES), threads=1)


def painted(channel: int):
    """A ball of one pure colour."""
    plain, surfels = some_asset(name=f"{channel}"), some_surfels(20_000)
    color, one = np.zeros((20_000, 3), np.float32), np.ones(20_000, np.float32)
    color[:, channel] = 1
    return replace(plain, surfels=replace(surfels, position=0.4 * surfels.normal, base_color=color, area=1.7 * one,
                                          opacity=one), texels=None)


def moved(x: float, y: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, 0
    return matrix


@pytest.mark.parametrize("quality", ["final", "draft"])
def test_pairs_say_what_each_instance_covers(quality):
    nothing = Instance(painted(0), np.zeros((4, 4)))  # not drawn, but counted
    instances = [Instance(painted(0), moved(0, 0)), nothing, Instance(painted(1), moved(0.3, 1)),
                 Instance(painted(2), moved(-0.5, -0.5)), Instance(painted(2), moved(1.2, 0))]
    made = Renderer().render(instances, camera.orbit(10, 10, 4, 45, 80, 60), environment.uniform((1, 1, 1)),
                             replace(WANTED, quality=quality))
    pairs = made[INSTANCES].reshape(60, 80, identity.RANKS, 2)
    alpha = made["Combined"][..., 3:]
    assert (np.diff(pairs[..., 1]) <= 0).all() and 0.1 < alpha.mean() < 0.9
    np.testing.assert_allclose(pairs[..., 1].sum(-1), alpha[..., 0], atol=1e-5)
    assert set(np.unique(pairs[..., 0])) == {0, 1, 3, 4, 5}
    for channel, numbers in enumerate([(1,), (3,), (4, 5)]):
        covered = np.where(np.isin(pairs[..., 0], numbers), pairs[..., 1], 0).sum(-1)
        np.testing.assert_allclose(covered, (made["Base Color"] * alpha)[..., channel], atol=1e-5)


def test_a_crowd_shares_channels():
    one = painted(0)
    instances = [Instance(one, moved(1.5 * (k % 6) - 4, 2 * (k // 6) - 4)) for k in range(30)]
    made = Renderer().render(instances, camera.orbit(0, 60, 20, 40, 96, 72), environment.uniform((1, 1, 1)), WANTED)
    first = made[INSTANCES][..., 0]
    assert set(np.unique(first)) == set(range(31)), "every one of them is seen"
