"""Plain specification of kernels/specular.py."""

import numpy as np

from .. import microfacets
from . import ggx
from .grid import FOLD, trace

WIDE = 0.25  # a lobe is as wide as if its peak held this much of it


def tangents(n):
    """Two unit vectors that complete (K, 3) unit vectors to right-handed frames (Duff et al. 2017)."""
    x, y, z = n.T
    sign = np.copysign(1, z)
    a = -1 / (sign + z)
    b = x * y * a
    return np.stack([1 + sign * x * x * a, sign * b, -sign * x], -1), np.stack([b, sign + y * y * a, -y], -1)


def _follow(grid, radiosity, mirrors, levels, turn, hit, away, at, direction, bounce=0):
    """Radiance (R, 3) that surfels hit (R,) after away (R,), at (R, 3), send back along rays (R, 3): a metal what lies
    in the middle of its lobe, looked up as wide as that. mirrors: (rows, bounces); levels: of the map that they
    mirror."""
    rows, bounces = mirrors
    dot = lambda a, b: (a * b).sum(-1, keepdims=True)
    row, surface = rows[hit].astype(np.float64), grid.normal[hit].astype(np.float64)
    front = dot(surface, direction) < 0  # what is seen from behind sends nothing beyond FOLD
    sent, bent = radiosity[hit, :3] * (front | (away[:, None] < FOLD * grid.cell)), row[:, :3]
    if bounce == bounces or not len(hit):
        return sent
    l = direction - 2 * dot(direction, bent) * bent
    l = l - 2 * np.minimum(dot(l, surface), 0) * surface
    cosine, a2 = np.clip(-dot(direction, bent), 1e-3, 1), np.clip(row[:, 3:4] ** 2, 1e-3, 1) ** 2
    smith = np.sqrt(cosine ** 2 + a2 * (1 - cosine ** 2))
    there, distance = trace(grid, at, l, surface)
    peak = 1 / (np.pi * a2) / (2 * (cosine + smith))
    seen = ggx.sample(levels, l @ turn.T, microfacets.footprint(len(levels[0]), WIDE * peak[:, 0], 1))
    met = np.flatnonzero(there >= 0)
    start = at[met] + grid.lift * grid.cell * surface[met]
    seen[met] = _follow(grid, radiosity, mirrors, levels, turn, there[met], distance[met],
                        start + distance[met, None] * l[met], l[met], bounce + 1)
    own, metallic = row[:, 4:7], row[:, 7:]
    mirrored = (cosine + smith) / (2 * smith) * (own + (1 - cosine) ** 5 * (metallic - own)) * seen
    return np.where((metallic > 0) & front, (1 - metallic) * sent + mirrored, sent)


def trace_specular(grid, index, view, normal, roughness, radiosity, levels, asset_to_map, rays=16, seed=0, points=None,
                   mirrors=None):
    """open, traced (K, 2, 3) and blocked (K,); `levels` of twins.ggx.build_pyramid, which metals mirror, too. mirrors:
    rows of kernels.grid.Mirrors and bounces; light is followed however faint it grows."""
    origin, outward = (grid.position[index], grid.normal[index]) if points is None else points
    surface, n, v = (a.astype(np.float64) for a in (outward, normal, view))
    s, t = tangents(n)
    local = np.stack([(v * s).sum(-1), (v * t).sum(-1), np.maximum((v * n).sum(-1), 1e-3)], -1)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    first = ggx.hash(index.astype(np.uint32) ^ ggx.hash(np.uint32([seed])))
    u = microfacets.hammersley(rays, np.stack([first, ggx.hash(first)], -1))
    alpha = np.clip(roughness.astype(np.float64) ** 2, 1e-3, 1)
    l, weight, fresnel, density = microfacets.reflect(local[:, None], alpha[:, None, None], u[..., 0], u[..., 1])
    l = l[..., :1] * s[:, None] + l[..., 1:2] * t[:, None] + l[..., 2:] * n[:, None]
    below = (l * surface[:, None]).sum(-1, keepdims=True)
    l = l - 2 * np.minimum(below, 0) * surface[:, None]
    count, turn = len(index), np.asarray(asset_to_map, np.float64)
    lod, along = microfacets.footprint(len(levels[0]), density, rays), l.reshape(-1, 3)
    sky = ggx.sample(levels, along @ turn.T, lod.reshape(-1))
    many = np.repeat(np.arange(count), rays)
    hit, distance = trace(grid, origin[many], along, outward[many])
    seen, met = sky.copy(), np.flatnonzero(hit >= 0)
    front = ((grid.normal[hit[met]] * along[met]).sum(-1) < 0) | (distance[met] < FOLD * grid.cell)
    seen[met] = radiosity[hit[met], :3] * front[:, None]
    if mirrors is not None:
        at = origin[many] + grid.lift * grid.cell * surface[many]
        seen[met] = _follow(grid, radiosity, mirrors, levels, turn, hit[met], distance[met],
                            at[met] + distance[met, None] * along[met], along[met])
    hit, factor = hit.reshape(count, rays), np.stack([weight * (1 - fresnel), weight * fresnel], -1) / rays
    mean = lambda radiance: np.einsum("krf,krc->kfc", factor, radiance.reshape(count, rays, 3))
    return mean(sky), mean(seen), (weight * (hit >= 0)).sum(1) / weight.sum(1)
