"""The physically based surface: Blender's Principled BSDF for opaque dielectrics and metals (IOR 1.5).

Diffuse below a dielectric coat whose albedo is taken off, GGX with Schlick's Fresnel, and energy compensation for
scattering between microfacets (Turquin 2019).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ._kernels import ggx

F0_DIELECTRIC = 0.04


@lru_cache(maxsize=1)
def _albedo_table() -> np.ndarray:
    return ggx.brdf_table()


def specular_albedo(roughness: np.ndarray, cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directional albedo of GGX split as F0 * scale + bias (F90 = 1). roughness, cosine n.v: (K,). Two (K,) float32."""
    table = _albedo_table()
    size = len(table)
    r = np.clip(roughness, 0, 1) * (size - 1)
    c = np.clip(cosine, 0, 1) * (size - 1)
    r0, c0 = np.minimum(r.astype(int), size - 2), np.minimum(c.astype(int), size - 2)
    fr, fc = (r - r0)[:, None], (c - c0)[:, None]
    value = ((table[r0, c0] * (1 - fc) + table[r0, c0 + 1] * fc) * (1 - fr)
             + (table[r0 + 1, c0] * (1 - fc) + table[r0 + 1, c0 + 1] * fc) * fr)
    return value[:, 0].astype(np.float32), value[:, 1].astype(np.float32)


def outgoing(base_color: np.ndarray, roughness: np.ndarray, metallic: np.ndarray, cosine: np.ndarray,
             irradiance: np.ndarray, specular: np.ndarray) -> np.ndarray:
    """Radiance towards the viewer, term by term: J diffuse terms, then L specular ones. (K, J + L, 3) float32.

    base_color: (K, 3) linear. roughness, metallic, cosine n.v: (K,). irradiance: (K, J, 3).
    specular: (K, L, 2, 3) means of weight*(1-Fc)*L and weight*Fc*L over GGX samples, so that a surface of reflectance
        F0 sends F0 * specular[..., 0, :] + specular[..., 1, :].
    """
    scale, bias = specular_albedo(roughness, cosine)
    f0 = F0_DIELECTRIC + (base_color - F0_DIELECTRIC) * metallic[:, None]
    single = np.maximum(scale + bias, 1e-3)[:, None]
    compensation = 1 + (f0 + (1 - f0) / 21) * (1 - single) / single
    coat = (F0_DIELECTRIC * scale + bias) * (1 + (F0_DIELECTRIC + 0.0457) * (1 - single[:, 0]) / single[:, 0])
    albedo = base_color * ((1 - metallic) * (1 - coat))[:, None]
    diffuse = albedo[:, None] * irradiance / math.pi
    mirror = (f0[:, None] * specular[:, :, 0] + specular[:, :, 1]) * compensation[:, None]
    return np.concatenate([diffuse, mirror], 1).astype(np.float32)
