"""Plain specification of kernels/around.py. An `around` is a kernels.around.Around, read for its data only."""

import numpy as np

from . import ggx

STEPS = 3  # towards the distance at which a ray meets what is around
DEPTH_ROWS = 32  # distances are never looked up more coarsely
NOTHING = 0.02  # cover below which a ray meets nothing


def look(around, far, origin, direction, far_lod, near_lod, mirrors=1.0):
    """(K, 3) radiance; `far`: levels of twins.ggx.build_pyramid. mirrors: how much of what is mirrored is seen, (K,).

    A ray meets what is around where the panorama, looked up at the place that the ray has then reached, says that it
    is as far away: found in STEPS from the distance in the ray's own direction. What covers only a part of a texel is
    looked up with its own colour, so that things do not fade into what is behind them. What is mirrored lies far behind
    its mirror: it is looked up in the ray's own direction.
    """
    color, depth = _levels(around.color), _levels(around.depth)
    place = np.asarray(around.place, np.float64)
    p, d = origin @ place[:, :3].T + place[:, 3], direction.astype(np.float64)
    level = np.clip(near_lod, 0, max(np.log2(around.color.height / DEPTH_ROWS), 0))
    along = (p * d).sum(1)
    beside = (p * p).sum(1) - along * along
    q, t = d, 1.0
    for step in range(STEPS + 1):
        near, cover = ggx.sample(depth, q, level)[:, :2].T
        empty = cover < NOTHING
        r = 1 / np.maximum(near / np.maximum(cover, 1e-3), 1e-6)
        if step < STEPS:
            t = np.maximum(np.sqrt(np.maximum(r * r - beside, 0)) - along, 1e-4)
            q = np.where(empty[:, None], d, p + t[:, None] * d)
    closer = np.where(empty, 0, np.log2(np.clip(t / r, 0.0625, 4)))
    seen = ggx.sample(color, q, near_lod + closer)
    own = seen[:, :3] * (cover / np.maximum(seen[:, 3], 1e-3))[:, None]
    made = own + (1 - cover[:, None]) * ggx.sample(far, d, far_lod)
    if around.mirrored is None:
        return made
    shown = ggx.sample(_levels(around.mirrored), d, near_lod)
    return made + shown[:, :3] * (mirrors * cover / np.maximum(shown[:, 3], 1e-3))[:, None]


def gather(around, far, origin, normal, direction, radiance, opened, far_lod, near_lod, asset_to_map, bounced):
    """(N, 3): 4 pi / D times the sum of max(0, n . w) (seen - radiance) over open directions. opened: (N, D) bool.

    bounced: (D,), the direction from which light comes to what is mirrored, or -1. It is hidden where the asset itself
    stands in it before the surfel, whose own plane does not count: the mirror lies further away.
    """
    total = np.zeros((len(origin), 3))
    for d, thought, open_there, before in zip(direction, radiance, opened.T, bounced):
        many = np.broadcast_to(asset_to_map @ d, origin.shape)
        mirrors = 1.0 if before < 0 else opened[:, before] | (normal @ direction[before] <= 0)
        seen = look(around, far, origin, many, np.full(len(origin), far_lod), np.full(len(origin), near_lod), mirrors)
        total += (np.maximum(normal @ d, 0) * open_there)[:, None] * (seen - thought)
    return 4 * np.pi / len(direction) * total


def _levels(pyramid):
    """Levels of a kernels.ggx.Pyramid with all four channels, (rows, 2 rows, 4) each."""
    out = []
    for k in range(pyramid.levels):
        rows = pyramid.height >> k
        start = 8 * (pyramid.height**2 - rows**2) // 3
        out.append(pyramid.texels[start:start + 2 * rows * rows].reshape(rows, 2 * rows, 4).astype(np.float64))
    return out
