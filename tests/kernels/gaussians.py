"""Random Gaussians before a camera, and what is compared of their projections."""

import numpy as np
import torch

WIDTH, HEIGHT = 90, 61  # no multiples of the tile


def scene(count=300, seed=0, scale=0.05, channels=5):
    """Random Gaussians before an off-centre camera: [xyz, covariance, opacity, pose, intrinsics], features."""
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(count, 3, 3)) * scale * rng.uniform(0.1, 1, (count, 1, 1))
    full = half @ half.transpose(0, 2, 1)
    pose = np.array([[1, 0, 0, 0.05], [0, 0, -1, 0], [0, 1, 0, 2], [0, 0, 0, 1]], np.float32)
    intrinsics = np.array([[WIDTH * 1.1, 0, WIDTH * 0.45], [0, WIDTH * 1.2, HEIGHT * 0.55], [0, 0, 1]], np.float32)
    covariance = full[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    arrays = rng.uniform(-0.6, 0.6, (count, 3)), covariance, rng.uniform(-0.1, 1.1, count)
    return [np.ascontiguousarray(a, np.float32) for a in arrays] + [pose, intrinsics], \
        rng.normal(size=(count, channels)).astype(np.float32)


def orthographic(inputs):
    inputs = list(inputs)
    inputs[4] = np.array([[50, 0, 40], [0, 55, 33], [0, 0, 1]], np.float32)
    return inputs


def doubles(arrays):
    return [torch.tensor(array, dtype=torch.float64) for array in arrays]


def assert_radii_equal(mine, theirs):
    """But for single ones that are rounded up just there."""
    np.testing.assert_array_equal(mine > 0, theirs > 0)
    assert np.abs(mine - theirs).max(initial=0) <= 1 and (mine != theirs).sum() <= 1 + len(mine) // 500


def assert_projections_equal(mine, theirs, tolerance=1e-5):
    assert_radii_equal(mine.radius, np.asarray(theirs.radius))
    for field in ("mean", "conic", "depth", "opacity"):
        expected = np.asarray(getattr(theirs, field))
        allowed = tolerance * max(1, np.abs(expected).max())
        np.testing.assert_allclose(getattr(mine, field), expected, atol=allowed, rtol=tolerance)
