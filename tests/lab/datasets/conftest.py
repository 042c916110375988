"""Procedural objects that several test files look at."""

import pytest

from near_core.lab.datasets import procedural
from near_core.mesh import Mesh

SEEDS = range(24)


@pytest.fixture(scope="session")
def objects() -> dict[int, Mesh]:
    """Seed -> object; skips where the packages that make them are missing."""
    for package in ("skimage", "trimesh", "manifold3d"):
        pytest.importorskip(package)
    return {seed: procedural.make(seed) for seed in SEEDS}
