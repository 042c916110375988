"""A small scene of random numbers that uses most kernels, which tests share."""

import numpy as np

from near_core.asset import NeuralAsset, Skin, SkinMaterial
from near_core.render.renderer import Renderer
from near_core.scene import Environment, Instance, Lamp, Settings, camera
from tests.random_assets import some_surfels


def make_drawing():
    """A function that draws two assets, one with a skin, under a map and a lamp, on so many threads."""
    surfels, rng = some_surfels(4000), np.random.default_rng(0)
    coords = np.unique(((surfels.position + 0.5) * 64).astype(np.uint8), axis=0)
    corner = rng.uniform(-0.4, 0.4, (90, 3)).astype(np.float32)
    skin = Skin(corner, None, rng.random((90, 2), np.float32), None, np.arange(90, dtype=np.int32).reshape(30, 3),
                np.zeros(30, np.int32), (SkinMaterial((.7, .5, .3, 1), .3, .5, 1, ("repeat",) * 2, (-1,) * 4),), ())
    make = lambda **options: NeuralAsset(coords, rng.random((len(coords), 8)).astype(np.float16),
                                         np.zeros((len(coords), 0), np.float16), surfels, **options)
    placed = [Instance(make(), np.eye(4)), Instance(make(skin=skin), np.eye(4) + 0.3 * np.eye(4, k=3))]
    light = Environment(rng.gamma(0.3, 2, (32, 64, 3)).astype(np.float32))
    lamps = [Lamp("point", np.eye(4) + 2 * np.eye(4, k=3), np.full(3, 50.0), radius=0.1)]

    def draw(threads: int) -> dict[str, np.ndarray]:
        return Renderer().render(placed, camera.orbit(30, 20, 2, 40, 96, 64), light, Settings(threads=threads),
                                 lamps=lamps)
    return draw
