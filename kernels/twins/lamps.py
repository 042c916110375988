"""Plain specification of kernels/lamps.py. A `lamp` is a kernels.lamps.Emitter, read for its data only."""

import numpy as np

from . import grid as twin_grid
from .ggx import hash


def reach(lamp, position, point):
    """From places (K, 3) to points (K, N, 3): direction (K, N, 3), distance and strength (K, N)."""
    if lamp.kind == "sun":
        return point, np.full(point.shape[:2], np.inf), np.full(point.shape[:2], lamp.scale)
    away = point - position[:, None].astype(np.float64)
    distance = np.maximum(np.linalg.norm(away, axis=-1), 1e-6)
    direction = away / distance[..., None]
    strength = lamp.scale / np.maximum(distance, lamp.least) ** 2
    if lamp.kind == "area":
        cosine = np.maximum(direction @ lamp.axis, 0)
        strength = strength * cosine
        if lamp.spread < np.pi / 2 - 1e-3:  # Cycles' spread
            tangent = np.sqrt(1 - cosine * cosine) / np.maximum(cosine, 1e-6)
            strength *= np.maximum(np.tan(lamp.spread) - tangent, 0) / (np.tan(lamp.spread) - lamp.spread)
        return direction, distance, strength
    to = lamp.middle - position
    to = to / np.linalg.norm(to, axis=1, keepdims=True)
    strength = strength * np.maximum((direction * to[:, None]).sum(-1), 0)
    if lamp.kind == "spot":
        local = direction @ np.asarray(lamp.local).T
        t = np.clip((-local[..., 2] / np.linalg.norm(local, axis=-1) - lamp.edge) / lamp.softness, 0, 1)
        strength *= t * t * (3 - 2 * t)
    return direction, distance, strength


def light(lamp, position, normal):
    """(K,): sums of cosine and strength."""
    direction, _, strength = reach(lamp, position, np.tile(lamp.point, (len(position), 1, 1)))
    return (np.maximum(np.einsum("knc,kc->kn", direction, normal), 0) * strength).sum(1)


def mirror(lamp, position, normal, view, roughness, least_roughness):
    """(K,) and (K, 2): height-correlated Smith, Schlick; a lobe is widened by what a point stands for."""
    direction, distance, strength = reach(lamp, position, np.tile(lamp.point, (len(position), 1, 1)))
    wide = lamp.width / (1 if lamp.kind == "sun" else np.maximum(distance, lamp.least))
    alpha2 = np.minimum(np.maximum(roughness, least_roughness)[:, None] ** 4 + (wide / 4) ** 2, 1)
    nl = np.maximum(np.einsum("knc,kc->kn", direction, normal), 0)
    nv = np.clip((normal * view).sum(1), 1e-3, 1)[:, None]
    sent = mirror_directions(nl, nv, np.einsum("knc,kc->kn", direction, view), alpha2) * strength[..., None]
    return light(lamp, position, normal), sent.sum(1)


def mirror_directions(nl, nv, vl, alpha2):
    """(K, N, 2): height-correlated Smith, Schlick."""
    length = np.sqrt(np.maximum(2 + 2 * vl, 1e-8))
    nh = np.minimum((nl + nv) / length, 1)
    density = alpha2 / (np.pi * (nh * nh * (alpha2 - 1) + 1) ** 2)
    root = lambda c: np.sqrt(alpha2 + (1 - alpha2) * c * c)
    sent = np.where(nl > 0, 0.5 * density * nl / np.maximum(nl * root(nv) + nv * root(nl), 1e-8), 0)
    fresnel = (1 - np.minimum(length / 2, 1)) ** 5
    return np.stack([sent * (1 - fresnel), sent * fresnel], -1)


def choose(lamp, side, index):
    """(K, n): in every cell of side x side one of its points, drawn by index."""
    times = int(round(len(lamp.point) ** 0.5)) // side
    cell = np.arange(side * side)
    draw = hash(hash(np.asarray(index, np.uint32))[:, None] ^ cell.astype(np.uint32))
    row, column = cell // side * times + draw % times, cell % side * times + (draw >> 16) % times
    return row * side * times + column


def trace(grid, lamp, side, index, origin, position, normal, world_to_asset, own=True):
    """weight (K, n) and share (K,)."""
    direction, distance, strength = reach(lamp, position, lamp.point[choose(lamp, side, index)])
    sent = np.maximum(np.einsum("knc,kc->kn", direction, normal), 0) * strength
    along = direction @ np.asarray(world_to_asset, np.float64).T
    length = np.linalg.norm(along, axis=-1)
    surface, seen = grid.normal[origin], sent > 0
    seen &= np.einsum("knc,kc->kn", along, surface) > 0
    row, ray = np.nonzero(seen)
    if own:
        towards = (along / length[..., None])[row, ray].astype(np.float32)
        met = twin_grid.trace(grid, grid.position[origin[row]], towards, surface[row])[1]
        seen[row, ray] = met >= (distance * length)[row, ray]
    weight = np.where(seen, sent, 0)
    return weight, weight.sum(1) / np.maximum(sent.sum(1), 1e-20)



def glare(towards, power, normal, view, roughness, share, least_roughness, limit):
    """(K, 2, 3) of all suns and of what arrives."""
    alpha2 = np.maximum(roughness, least_roughness)[:, None] ** 4
    nl, vl = np.maximum(normal @ towards.T, 0), np.clip(view @ towards.T, -1, 1)
    sent = mirror_directions(nl, np.clip((normal * view).sum(1), 1e-3, 1)[:, None], vl, alpha2)
    made = []
    for each in (sent, sent * share[..., None]):
        radiance = np.einsum("kpf,pc->kfc", each, power)
        lit = radiance @ [0.2126, 0.7152, 0.0722]
        made.append(radiance * np.minimum(1, limit / np.maximum(lit, 1e-9))[..., None])
    return made


def ask(lamp, position, plane, normal, share, rounded, grazing, edge):
    """weight (K, N), direction (K, N, 3), distance (K, N)."""
    direction, distance, strength = reach(lamp, position, np.tile(lamp.point, (len(position), 1, 1)))
    weight = np.maximum(np.einsum("knc,kc->kn", direction, normal), 0) * strength
    flat = (np.einsum("knc,kc->kn", direction, plane) < grazing).any(1)
    asked = np.where(flat, rounded, (share > edge) & (share < 1 - edge))
    return np.where(asked[:, None], weight, 0), direction, distance
