"""Samples of the GGX lobe in plain numpy, for the tables that are made once: the C++ sources draw the same ones."""

import numpy as np


def hammersley(count: int, rotation: np.ndarray = np.zeros(2, np.uint32)) -> np.ndarray:
    """(..., count, 2) in [0, 1): ((i + 1/2) / count, bit-reversed i) plus `rotation` (..., 2) uint32 / 2^32, mod 1."""
    i = np.arange(count, dtype=np.uint64)
    u1 = ((2 * i + 1) << np.uint64(31)) // np.uint64(count)
    u2 = np.array([int(f"{k:032b}"[::-1], 2) for k in range(count)], np.uint64)
    turned = np.stack([u1, u2], -1) + rotation[..., None, :].astype(np.uint64) & np.uint64(0xFFFFFFFF)
    return (turned >> np.uint64(8)) / 16777216.0


def visible_normal(v, alpha, u1, u2):
    """(K, S, 3) microfacet normals visible from v (K, 1, 3), local frame (Dupuy and Benyoub 2023)."""
    w = v * np.concatenate([alpha, alpha, np.ones_like(alpha)], -1)
    w = w / np.linalg.norm(w, axis=-1, keepdims=True)
    z = 1 - u2 * (1 + w[..., 2])
    r, phi = np.sqrt(np.clip(1 - z * z, 0, 1)), 2 * np.pi * u1
    h = np.stack([r * np.cos(phi), r * np.sin(phi), z], -1) + w
    h = np.stack([alpha[..., 0] * h[..., 0], alpha[..., 0] * h[..., 1], np.maximum(h[..., 2], 1e-7)], -1)
    return h / np.linalg.norm(h, axis=-1, keepdims=True)


def reflect(v, alpha, u1, u2):
    """Samples of the reflection lobe. v: (K, 1, 3) or (1, 3), local; alpha: scalar or (K, 1, 1); u1, u2: (S,), (K, S).

    Returns direction (K, S, 3), weight G2/G1, fresnel (1 - v.h)^5 and density of the direction, (K, S) each.
    """
    v = v.reshape(-1, 1, 3)
    alpha = np.broadcast_to(np.asarray(alpha, v.dtype).reshape(-1, 1, 1), (len(v), 1, 1))
    h = visible_normal(v, alpha, u1, u2)
    vh = np.clip((v * h).sum(-1), 0, 1)
    l = 2 * vh[..., None] * h - v
    a2, vz, lz = alpha[..., 0] ** 2, v[..., 2], np.clip(l[..., 2], 0, 1)

    def smith_lambda(z):
        return 0.5 * (np.sqrt(1 + a2 * (1 - z * z) / np.maximum(z * z, 1e-12)) - 1)

    weight = np.where(l[..., 2] > 0, (1 + smith_lambda(vz)) / (1 + smith_lambda(vz) + smith_lambda(lz)), 0)
    d = a2 / (np.pi * (h[..., 2] ** 2 * (a2 - 1) + 1) ** 2)
    density = d / (1 + smith_lambda(vz)) / (4 * vz)  # visible normals: G1 d (v.h) / v.z, times 1 / (4 v.h)
    return l, weight, (1 - vh) ** 5, density


def footprint(height: int, density, count: int):
    """Level of a pyramid of `height` rows whose texels at the equator cover one of `count` samples of this density."""
    return 0.5 * np.log2(1 / (count * density * (np.pi / height) ** 2 + 1e-30))
