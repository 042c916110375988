"""Plain specification of kernels/ggx.py; of the lobe that kernels/grid.py traces, see kernels/microfacets.py."""

import numpy as np


def hash(a: np.ndarray) -> np.ndarray:
    """uint32 -> uint32, PCG output permutation (Jarzynski and Olano 2020)."""
    a = a.astype(np.uint32) * np.uint32(747796405) + np.uint32(2891336453)
    a = ((a >> ((a >> np.uint32(28)) + np.uint32(4))) ^ a) * np.uint32(277803737)
    return (a >> np.uint32(22)) ^ a


def equirect(direction):
    """u, v in [0, 1] of (..., 3) directions."""
    x, y, z = np.moveaxis(direction, -1, 0)
    return 0.5 - np.arctan2(y, x) / (2 * np.pi), np.arctan2(np.hypot(x, y), z) / np.pi


def resample(light, height: int):
    """(H, W, 3) -> (height, 2 height, 3), area means on the sphere."""
    def overlap(source, target, measure):  # (target, source): the share of each source cell, rows adding up to 1
        a, b = np.arange(source) / source, np.arange(target)[:, None] / target
        low, high = np.maximum(a, b), np.minimum(a + 1 / source, b + 1 / target)
        w = np.where(high > low, measure(high) - measure(low), 0)
        return w / w.sum(1, keepdims=True)

    rows = overlap(len(light), height, lambda t: -np.cos(np.pi * t))
    columns = overlap(light.shape[1], 2 * height, lambda t: t)
    return np.einsum("yr,xc,rck->yxk", rows, columns, light.astype(np.float64), optimize=True)


def build_pyramid(light) -> list:
    """From 64 to 2048 rows down to 2 x 4: 2 x 2 means by solid angle, then a box filter along rows near the poles."""
    levels = [resample(light, min(max(1 << (len(light).bit_length() - 1), 64), 2048))]
    while len(levels[-1]) > 2:
        fine = levels[-1]
        w = np.sin((np.arange(len(fine)) + 0.5) * np.pi / len(fine))[:, None, None]
        pair = (fine * w)[0::2] + (fine * w)[1::2]
        pair = pair / (w[0::2] + w[1::2])
        levels.append(0.5 * (pair[:, 0::2] + pair[:, 1::2]))
    return levels[:1] + [_blur_poles(level) for level in levels[1:]]


def _blur_poles(level):
    height, width, _ = level.shape
    out = level.copy()
    for y in range(height):
        wide = 1 / np.sin((y + 0.5) * np.pi / height)
        if wide > 1.05:
            reach = (min(wide, width - 1) - 1) / 2
            taps = np.arange(-int(reach) - 1, int(reach) + 2)
            share = np.clip(reach + 1 - np.abs(taps), 0, 1) / (2 * reach + 1)
            out[y] = sum(s * np.roll(level[y], -k, axis=0) for k, s in zip(taps, share))
    return out


def bilinear(level, u, v):
    """(K, 3): azimuth wraps, beyond a pole lies the same row half a turn on."""
    height, width, _ = level.shape
    x, y = u * width - 0.5, v * height - 0.5
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]

    def texel(row, column):
        over = (row < 0) | (row >= height)
        return level[np.clip(row, 0, height - 1), (column + np.where(over, height, 0)) % width]

    return ((1 - fy) * ((1 - fx) * texel(y0, x0) + fx * texel(y0, x0 + 1))
            + fy * ((1 - fx) * texel(y0 + 1, x0) + fx * texel(y0 + 1, x0 + 1)))


def sample(levels, direction, lod):
    """(K, 3) radiance of a pyramid, linear between levels."""
    u, v = equirect(np.asarray(direction, np.float64))
    lod = np.clip(lod, 0, len(levels) - 1)
    everywhere = np.stack([bilinear(level, u, v) for level in levels] + [np.zeros((len(u), levels[0].shape[2]))])
    k, f, i = lod.astype(int), (lod - np.floor(lod))[:, None], np.arange(len(u))
    return (1 - f) * everywhere[k, i] + f * everywhere[k + 1, i]


def look_up(light, direction):
    """Radiance (K, 3) of a map of any size at unit directions: bilinear, clamped at the poles."""
    height, width = light.shape[:2]
    u, v = equirect(direction.astype(np.float64))
    x, y = u * width - 0.5, v * height - 0.5
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    at = lambda row, column: light[np.clip(row, 0, height - 1), column % width]
    top = at(y0, x0) * (1 - fx) + at(y0, x0 + 1) * fx
    bottom = at(y0 + 1, x0) * (1 - fx) + at(y0 + 1, x0 + 1) * fx
    return top * (1 - fy) + bottom * fy


def texel_centres(height: int):
    """Unit directions (height, 2 height, 3) and solid angles (height, 1) of an equirect's texels."""
    v, u = (np.arange(height) + 0.5) / height, (np.arange(2 * height) + 0.5) / (2 * height)
    theta, phi = (np.pi * v)[:, None], (np.pi * (1 - 2 * u))[None]
    centre = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi], -1)
    edge = np.cos(np.linspace(0, np.pi, height + 1))
    return centre, ((edge[:-1] - edge[1:]) * np.pi / height)[:, None]


def integrate_irradiance(light, normal):
    """(K, 3): the sum over every texel, by its centre. light has twice as many columns as rows."""
    centre, solid = texel_centres(len(light))
    cosine = np.maximum(normal @ centre.reshape(-1, 3).T, 0)
    return cosine @ (light * solid[..., None]).reshape(-1, 3)


def prefilter(light, roughness: float, direction, chunk: int = 64):
    """(K, 3): the sum over every texel, weighted by D(h) (n . l) / (4 v . h) with n = v = direction, i.e. D / 4."""
    centre, solid = texel_centres(len(light))
    centre, energy = centre.reshape(-1, 3), (light * solid[..., None]).reshape(-1, 3)
    solid = np.broadcast_to(solid, light.shape[:2]).reshape(-1)
    a2, out = max(roughness**2, 1e-3) ** 2, []
    for start in range(0, len(direction), chunk):
        cosine = direction[start:start + chunk] @ centre.T
        half2 = (1 + cosine) / 2  # (n . h)^2 where n = v
        d = np.where(cosine > 0, cosine / (half2 * (a2 - 1) + 1) ** 2, 0)
        out.append((d @ energy) / (d @ solid)[:, None])
    return np.concatenate(out)
