"""Surfels and assets of random numbers, for tests that ask for no picture."""

import numpy as np

from near_core.asset import NeuralAsset, Surfels
from near_core.directions import unit


def some_surfels(count: int = 500, seed: int = 0) -> Surfels:
    rng = np.random.default_rng(seed)
    normal = unit(rng.standard_normal((count, 3))).astype(np.float32)
    scalar = lambda: rng.uniform(0, 1, count).astype(np.float32)
    return Surfels(rng.uniform(-0.4, 0.4, (count, 3)).astype(np.float32), normal, normal,
                   rng.uniform(0, 1, (count, 3)).astype(np.float32), scalar(), scalar(), scalar() + 0.2, scalar(),
                   scalar())


def some_asset(**options) -> NeuralAsset:
    surfels = some_surfels()
    coords = np.unique(((surfels.position + 0.5) * 64).astype(np.uint8), axis=0)
    rng = np.random.default_rng(1)
    return NeuralAsset(coords, rng.uniform(0, 1, (len(coords), 8)).astype(np.float16),
                       rng.standard_normal((len(coords), 16)).astype(np.float16), surfels, **options)
