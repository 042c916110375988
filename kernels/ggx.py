"""Light maps and the GGX lobe: pyramid, irradiance, prefiltered radiance, split-sum table, importance directions.

A light map is an (H, W, 3) float32 equirect of finite, non-negative radiance: centre +X, quarter +Y, top row +Z, so
u = 0.5 - atan2(y, x) / 2 pi and, from the top, v = 0.5 - asin(z) / pi. The specification is kernels/twins/ggx.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import microfacets
from .library import INTEGER, POINTER, REAL, Kernel, require

_resample = Kernel("light_resample", POINTER, INTEGER, INTEGER, POINTER, INTEGER, INTEGER)
_reduce = Kernel("light_reduce", POINTER, INTEGER, INTEGER, INTEGER)
_sample = Kernel("light_sample", POINTER, INTEGER, INTEGER, POINTER, POINTER, INTEGER, POINTER, INTEGER)
_lookup = Kernel("light_lookup", POINTER, INTEGER, INTEGER, POINTER, INTEGER, POINTER, REAL, POINTER, INTEGER)
_blocks = Kernel("light_blocks", POINTER, INTEGER, POINTER, POINTER, INTEGER, POINTER, POINTER, INTEGER)
_convolve = Kernel("light_convolve", POINTER, INTEGER, POINTER, INTEGER, REAL, POINTER, INTEGER)
_sample_lobe = Kernel("light_sample_lobe", POINTER, INTEGER, INTEGER, *[POINTER, INTEGER] * 3)

LOWEST, HIGHEST = 64, 2048  # rows of level 0; larger maps are averaged down, smaller ones repeat their texels
NARROW = 0.25  # roughness up to which a lobe is sampled
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of red, green and blue, linear Rec.709


@dataclass(frozen=True)
class Pyramid:
    """A light map in levels: level k has height >> k rows of twice as many texels, the last 2 x 4."""

    texels: np.ndarray  # (2/3 (4 height^2 - 4), 4) float32, RGB0, the levels one behind the other
    height: int  # rows of level 0, a power of two
    levels: int

    def level(self, k: int) -> np.ndarray:
        """Level k as (height >> k, 2 * (height >> k), 3)."""
        rows = self.height >> k
        start = 8 * (self.height**2 - rows**2) // 3
        return self.texels[start:start + 2 * rows * rows].reshape(rows, 2 * rows, 4)[..., :3]

    def dim(self, limit: float, most: int) -> Pyramid:
        """The map with `most` rows at most, a power of two, each of its levels dimmed to the luminance `limit`: a
        sun loses much of its light where it is looked up narrowly, and little where it is looked up widely."""
        k = max(self.height // most, 1).bit_length() - 1
        rows = self.height >> k
        texels = self.texels[8 * (self.height**2 - rows**2) // 3:]
        bright = np.maximum(texels[:, :3] @ LUMINANCE, 1e-9)
        return Pyramid(texels * np.minimum(1, np.float32(limit) / bright)[:, None], rows, self.levels - k)

    def sample(self, direction: np.ndarray, lod: np.ndarray, *, threads: int = 0) -> np.ndarray:
        """Radiance: bilinear in a level, linear between levels.

        direction: (K, 3) float32, map frame. lod: (K,) float32, levels. Returns (K, 3) float32.
        """
        count = len(require("direction", direction, (None, 3)))
        require("lod", lod, (count,))
        out = np.empty((count, 3), np.float32)
        _sample(self.texels, self.height, self.levels, direction, lod, count, out, threads)
        return out


def build_pyramid(light: np.ndarray | Pyramid, *, threads: int = 0) -> Pyramid:
    """The mip pyramid of a light map; a Pyramid is returned as it is, so every function here takes either.

    light: (H, W, 3) float32. Level 0 has the largest power of two <= H rows, 64 at least and 2048 at most. Every level
    keeps the map's mean over the sphere. Near the poles levels >= 1 are also averaged along the row, over as much as a
    texel is high.
    """
    if isinstance(light, Pyramid):
        return light
    rows, columns, _ = require("light", light, (None, None, 3)).shape
    if not light.size:
        raise ValueError(f"light must have texels, not {rows} x {columns}.")
    height = int(np.clip(1 << (rows.bit_length() - 1), LOWEST, HIGHEST))
    levels = height.bit_length() - 1
    texels = np.empty((8 * (height**2 - 1) // 3, 4), np.float32)
    _resample(light, rows, columns, texels, height, threads)
    _reduce(texels, height, levels, threads)
    return Pyramid(texels, height, levels)


def look_up(light: np.ndarray, direction: np.ndarray, to_map: np.ndarray, strength: float = 1.0, *,
            threads: int = 0) -> np.ndarray:
    """The map itself, texels of any number: bilinear, the outermost rows reach to the poles. (K, 3) float32.

    light: (H, W, 3) float32. direction: (K, 3) float32, of any length. to_map: (3, 3), turns directions into the map's
    frame. strength: multiplies the radiance.
    """
    rows, columns, _ = require("light", light, (None, None, 3)).shape
    if not light.size:
        raise ValueError(f"light must have texels, not {rows} x {columns}.")
    count = len(require("direction", direction, (None, 3)))
    out = np.empty((count, 3), np.float32)
    _lookup(light, rows, columns, direction, count, np.ascontiguousarray(to_map, np.float32).reshape(9), strength, out,
            threads)
    return out


def integrate_irradiance(light: np.ndarray | Pyramid, height: int = 16, *, threads: int = 0) -> np.ndarray:
    """E(n), the integral of radiance times max(0, n . w), at the texels of a small equirect: (h, 2h, 3) float32.

    The sum runs over 64 x 128 blocks of texels, each with its energy and the centre of its luminance.
    """
    return _convolved(_sources(light, threads), compute_directions(height), 1.0, threads)[..., :3].copy()


def make_single_level(light: np.ndarray) -> Pyramid:
    """A small (h, 2h, 3) float32 map, as `integrate_irradiance` makes them, for `Pyramid.sample` at lod 0."""
    height = len(require("light", light, (None, None, 3)))
    require("light", light, (height, 2 * height, 3))
    if height & (height - 1):
        raise ValueError(f"light must have a power of two of rows, not {height}.")
    texels = np.zeros((2 * height * height, 4), np.float32)
    texels[:, :3] = light.reshape(-1, 3)
    return Pyramid(texels, height, 1)


def prefilter(light: np.ndarray | Pyramid, roughness: Sequence[float], height: int, *, threads: int = 0) -> np.ndarray:
    """GGX-prefiltered radiance by reflection direction, with N = V = R and weight n . l (Karis 2013).

    roughness: L values, perceptual. height: rows. Returns (L, h, 2h, 3) float32. Lobes wider than NARROW are summed
    over 64 x 128 blocks of the map; narrower ones by 64 filtered importance samples, never finer than the output.
    """
    light, normal = build_pyramid(light, threads=threads), compute_directions(height)
    sources = _sources(light, threads)
    out = np.empty((len(roughness), height, 2 * height, 3), np.float32)
    for level, r in zip(out, roughness):
        if r > NARROW:
            total = _convolved(sources, normal, float(r) ** 4, threads)
            np.divide(total[..., :3], total[..., 3:], out=level)
        else:
            lobe = _lobe(float(r), 64, light.height, height)
            _sample_lobe(light.texels, light.height, light.levels, lobe, lobe.shape[1], normal, 2 * height**2, level,
                         threads)
    return out


def look_up_brdf(roughness: np.ndarray, n_dot_v: np.ndarray) -> np.ndarray:
    """Scale and bias of F0, bilinear in the table. roughness, n_dot_v: same shape. Returns shape + (2,) float32.

    Scale + bias is the lobe's directional albedo A at F0 = 1: multiply a specular term by 1 + F0 (1 / A - 1) to give
    back what single scattering loses (Turquin 2019).
    """
    table = tabulate_brdf()
    size = len(table)
    y, x = (np.clip(np.asarray(a, np.float32), 0, 1) * np.float32(size - 1) for a in (roughness, n_dot_v))
    i, j = (np.minimum(a.astype(np.int32), size - 2) for a in (y, x))
    fy, fx, at = y - i, x - j, size * i + j
    out = np.empty((2, *y.shape), np.float32)
    for part, values in enumerate(table.reshape(-1, 2).T.copy()):  # numpy is slow along a short axis
        upper, lower = ((1 - fx) * values[k] + fx * values[k + 1] for k in (at, at + size))
        out[part] = (1 - fy) * upper + fy * lower
    return np.moveaxis(out, 0, -1)


@lru_cache(maxsize=4)
def tabulate_brdf(size: int = 32) -> np.ndarray:
    """Split-sum scale and bias, (size, size, 2) float32, read-only.

    Row i is for roughness i / (size - 1), column j for n . v likewise.
    Mean over visible-normal samples of G2/G1 (1 - Fc) and G2/G1 Fc with Fc = (1 - v . h)^5 (Karis 2013, Heitz 2018).
    """
    unit = np.linspace(0, 1, size)
    n_dot_v = np.maximum(unit, 1e-3)
    view = np.stack([np.sqrt(1 - n_dot_v**2), np.zeros(size), n_dot_v], -1)[None, :, None]
    u = microfacets.hammersley(1024)
    table = np.empty((size, size, 2), np.float32)
    for row, roughness in enumerate(unit):
        _, weight, fresnel, _ = microfacets.reflect(view[0], max(roughness**2, 1e-3), u[:, 0], u[:, 1])
        table[row] = np.stack([(weight * (1 - fresnel)).mean(-1), (weight * fresnel).mean(-1)], -1)
    table.flags.writeable = False
    return table


def average_radiance(light: np.ndarray | Pyramid) -> np.ndarray:
    """The map's mean radiance over the sphere, (3,) float32."""
    energy, _ = sum_blocks(light, 64)
    return (energy.sum(0, dtype=np.float64) / (4 * np.pi)).astype(np.float32)


def draw_directions(light: np.ndarray | Pyramid, count: int, seed: int = 0, *,
                    threads: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Directions drawn by the map's luminance: the sum of weight * f(direction) estimates the integral of L f.

    The map is cut into 128 x 256 blocks. A block that holds more than 1/count of what is left is taken for certain,
    with exactly its energy (so a sun is one direction and always there); the others share the remaining directions by
    systematic sampling along a space-filling curve. Returns direction (count, 3) float32, map frame, unit, and weight
    (count, 3) float32, radiance times steradians; on a black map, uniform directions with weight 0.
    """
    energy, centroid = sum_blocks(light, 128, threads=threads)
    luminance = (energy @ LUMINANCE).astype(np.float64)
    chosen, share = _systematic(luminance[_morton_order(len(energy))], count, np.random.default_rng(seed))
    chosen = _morton_order(len(energy))[chosen]
    direction = centroid[chosen]
    direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    return np.ascontiguousarray(direction, np.float32), (energy[chosen] * share[:, None]).astype(np.float32)


def sum_blocks(light: np.ndarray | Pyramid, height: int, *, threads: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Energy of the map in (height, 2 height) blocks and its centre, (blocks, 3) float32 each, height 128 at most.

    energy: radiance times solid angle. centroid: mean direction by luminance, a little shorter than 1.
    """
    light = build_pyramid(light, threads=threads)
    height = min(height, light.height)  # 64 at least, see build_pyramid
    row, column = compute_texel_moments(light.height)
    energy, centroid = np.empty((2, 2 * height * height, 3), np.float32)
    _blocks(light.texels, light.height, row, column, height, energy, centroid, threads)
    return energy, centroid


def compute_directions(height: int) -> np.ndarray:
    """Centre directions of an equirect's texels, (height, 2 height, 3) float32, unit."""
    theta = (np.arange(height) + 0.5)[:, None] * np.pi / height
    phi = np.pi - (np.arange(2 * height) + 0.5)[None] * np.pi / height
    xyz = np.broadcast_arrays(np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta))
    return np.stack(xyz, -1).astype(np.float32)


@lru_cache(maxsize=8)
def compute_texel_moments(height: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact means over an equirect's texels: row (height, 3) of z, distance from the axis and solid angle; column
    (2 height, 2) of cos and sin of the azimuth. float32."""
    edge = np.linspace(0, np.pi, height + 1)
    band = -np.diff(np.cos(edge))
    z = -np.diff(np.cos(edge) ** 2) / 2 / band
    radius = np.diff(edge / 2 - np.sin(2 * edge) / 4) / band * np.sinc(0.5 / height)
    row = np.stack([z, radius, band * np.pi / height], -1).astype(np.float32)
    phi = np.pi - (np.arange(2 * height) + 0.5) * np.pi / height
    return row, np.stack([np.cos(phi), np.sin(phi)], -1).astype(np.float32)


def _sources(light: np.ndarray | Pyramid, threads: int) -> np.ndarray:
    """The map as 64 x 128 lights for _convolved, (7, blocks) float32: centroid, energy, solid angle."""
    energy, centroid = sum_blocks(light, 64, threads=threads)
    solid = np.repeat(compute_texel_moments(64)[0][:, 2:], 128, axis=0)
    return np.ascontiguousarray(np.concatenate([centroid, energy, solid], 1).T)


def _convolved(sources: np.ndarray, normal: np.ndarray, alpha2: float, threads: int) -> np.ndarray:
    """Energy and solid angle under the lobe (a cosine where alpha2 = 1) about `normal` (h, w, 3): (h, w, 4)."""
    out = np.empty((*normal.shape[:2], 4), np.float32)
    _convolve(sources, sources.shape[1], normal, out.size // 4, alpha2, out, threads)
    return out


def _lobe(roughness: float, samples: int, height: int, rows: int) -> np.ndarray:
    """(5, samples) float32 for light_sample_lobe: direction about z, weight, lod."""
    u = microfacets.hammersley(samples)
    l, _, _, density = microfacets.reflect(np.array([[0.0, 0.0, 1.0]]), max(roughness**2, 1e-3), u[:, 0], u[:, 1])
    weight = np.maximum(l[0, :, 2], 0)
    lod = np.maximum(microfacets.footprint(height, density[0], samples), np.log2(max(height / rows, 1)))
    return np.ascontiguousarray(np.column_stack([l[0], weight / weight.sum(), lod]).T, np.float32)


def _systematic(size: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Picks `count` of the items in proportion to size: index (count,) and 1 / expected number of picks (count,)."""
    certain = np.zeros(len(size), bool)
    while True:  # what is left shrinks with every item taken, so others may pass the mark
        left = np.where(certain, 0, size)
        more = (left > 0) & (left * (count - certain.sum()) >= left.sum())
        if not more.any():
            break
        certain |= more
    index, picks = np.flatnonzero(certain), count - certain.sum()
    share = np.ones(len(index))
    if picks and left.sum() > 0:
        edge = np.cumsum(left)
        drawn = np.searchsorted(edge, (np.arange(picks) + rng.random()) / picks * edge[-1], side="right")
        drawn = np.minimum(drawn, np.flatnonzero(left)[-1])
        index, share = np.append(index, drawn), np.append(share, edge[-1] / (picks * left[drawn]))
    elif picks:  # nothing dark needs a direction, yet the caller gets as many as asked for
        drawn = (np.arange(picks) + rng.random()) / picks * len(size)
        index, share = np.append(index, drawn.astype(np.int64)), np.append(share, np.zeros(picks))
    return index, share


@lru_cache(maxsize=4)
def _morton_order(count: int) -> np.ndarray:
    """Blocks of a (h, 2h) map with count = 2 h^2, in an order that keeps neighbours together: Morton."""
    height = int(round((count / 2) ** 0.5))
    y, x = np.divmod(np.arange(count), 2 * height)
    code = sum(((x >> b & 1) << 2 * b) | ((y >> b & 1) << 2 * b + 1) for b in range(12))
    return np.argsort(code, kind="stable")
