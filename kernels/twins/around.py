"""Plain specification of kernels/around.py. An `around` is a kernels.around.Around, read for its data only."""

import numpy as np

from . import ggx

STEPS = 4  # towards the place at which a ray meets what is around
FARTHEST = 1e6  # metres
DEPTH_ROWS = 32  # distances are never looked up more coarsely
NOTHING = 0.02  # cover below which a ray meets nothing


def look(around, far, origin, direction, far_lod, near_lod, mirrors=1.0):
    """(K, 3) radiance; `far`: levels of twins.ggx.build_pyramid. mirrors: how much of what is mirrored is seen, (K,).

    A ray meets what is around where the panorama, looked up at the place that the ray has then reached, says that it
    is as far away: found in STEPS by secants, for how far a ray has come over this distance grows evenly on its way to
    a plane. Where nothing is in its direction it goes nowhere. What covers only a part of a texel is looked up with
    its own colour, so that things do not fade into what is behind them. What is mirrored lies far behind its mirror: it
    is looked up in the ray's own direction.
    """
    color, depth = _levels(around.color), _levels(around.depth)
    place = np.asarray(around.place, np.float64)
    p, d = origin @ place[:, :3].T + place[:, 3], direction.astype(np.float64)
    level = np.clip(near_lod, 0, max(np.log2(around.color.height / DEPTH_ROWS), 0))
    q, t, past, before = d, *np.ones((3, len(d)))
    for step in range(STEPS + 1):
        near, cover = ggx.sample(depth, q, level)[:, :2].T
        nearness = np.maximum(near / np.maximum(cover, 1e-3), 1 / FARTHEST)
        if step == 0:
            t, slope, nothing = 1 / nearness, nearness, cover < NOTHING
        elif step < STEPS:
            ahead = np.linalg.norm(q, axis=1) * nearness - 1
            if step > 1:
                with np.errstate(divide="ignore", invalid="ignore"):
                    steeper = (ahead - before) / (t - past)
                slope = np.where(steeper > 1 / FARTHEST, steeper, slope)
            before, past = ahead, t
            t = np.clip(t - ahead / slope, 1e-4, FARTHEST)
        q = np.where(nothing[:, None], d, p + t[:, None] * d)
    empty, r = cover < NOTHING, 1 / nearness
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
