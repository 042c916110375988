"""Surfels of simple shapes and rays at them, with the signed distances that say where the rays end."""

import numpy as np

RESOLUTION = 48
CELL = 1 / RESOLUTION
TURNED = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]


def fibonacci(count):
    i = np.arange(count) + 0.5
    z, phi = 1 - 2 * i / count, i * np.pi * (1 + 5**0.5)
    return np.stack([np.sqrt(1 - z * z) * np.cos(phi), np.sqrt(1 - z * z) * np.sin(phi), z], 1).astype(np.float32)


def unit(x):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def surfels(points, normals, resolution=RESOLUTION):
    """Dense samples averaged per cell and side, as near_core makes them: position and normal, float32."""
    voxel = np.clip(np.floor((points + 0.5) * resolution), 0, resolution - 1).astype(int)
    _, cell = np.unique(voxel @ [1, resolution, resolution**2], return_inverse=True)
    best, side = np.full(len(cell), -2.0), np.zeros(len(cell), int)
    for number in range(4):
        unclaimed = np.flatnonzero(best < 0.3)
        seed = np.full(cell.max() + 1, -1)
        seed[cell[unclaimed[::-1]]] = unclaimed[::-1]
        member = np.flatnonzero(seed[cell] >= 0)
        agreement = (normals[member] * normals[seed[cell[member]]]).sum(1)
        closer = agreement > best[member]
        best[member[closer]], side[member[closer]] = agreement[closer], number
    _, group = np.unique(cell * 4 + side, return_inverse=True)
    mean = lambda x: np.stack([np.bincount(group, x[:, c]) for c in range(3)], 1) / np.bincount(group)[:, None]
    return mean(points).astype(np.float32), unit(mean(normals))


def rgb0(radiance):
    return np.pad(radiance, ((0, 0), (0, 1)))


# Shapes: samples of the surface, and the signed distance to it.

def ball(radius, count=200_000):
    n = np.random.default_rng(0).normal(size=(count, 3))
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    return n * radius, n, lambda x: np.linalg.norm(x, axis=-1) - radius


def box(half, turn=TURNED, count=200_000):
    rng, half = np.random.default_rng(0), np.array(half)
    area = half.prod() / half
    axis, sign = rng.choice(3, count, p=area / area.sum()), rng.choice([-1.0, 1.0], count)
    p, n, i = rng.uniform(-1, 1, (count, 3)) * half, np.zeros((count, 3)), np.arange(count)
    p[i, axis], n[i, axis] = sign * half[axis], sign

    def distance(x):
        q = np.abs(x @ turn) - half
        return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(-1), 0)
    return p @ turn.T, n @ turn.T, distance


def ring(major, minor, count=200_000):
    rng = np.random.default_rng(0)
    a, b, keep = rng.uniform(0, 2 * np.pi, count), rng.uniform(0, 2 * np.pi, count), rng.uniform(0, 1, count)
    a, b = (x[keep < (major + minor * np.cos(b)) / (major + minor)] for x in (a, b))
    n = np.stack([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)], 1)
    p = major * np.stack([np.cos(a), np.sin(a), 0 * a], 1) + minor * n

    def distance(at):
        x, y, z = np.moveaxis(at @ TURNED, -1, 0)
        return np.hypot(np.hypot(x, y) - major, z) - minor
    return p @ TURNED.T, n @ TURNED.T, distance


def inside_out(shape):
    points, normals, distance = shape
    return points, -normals, lambda x: -distance(x)


def march(distance, origin, direction, far=2.4):
    """Where rays meet the zero of a signed distance (sphere tracing): hit, t."""
    t, hit = np.zeros(len(origin)), np.zeros(len(origin), bool)
    active = np.arange(len(origin))
    for _ in range(300):
        s = distance(origin[active] + t[active, None] * direction[active])
        hit[active] |= s < 1e-4
        t[active] += np.maximum(s, 5e-5)
        active = active[(s >= 1e-4) & (t[active] < far)]
    return hit, t


def toward(rng, count):
    """Rays from outside the cube through it."""
    d = unit(rng.normal(size=(count, 3)))
    return (rng.uniform(-0.4, 0.4, (count, 3)) - 1.2 * d).astype(np.float32), d
