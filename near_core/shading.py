"""The physically based surface: Blender's Principled BSDF for opaque dielectrics and metals (IOR 1.5).

Diffuse below a dielectric coat whose albedo is taken off, GGX with Schlick's Fresnel, and energy compensation for
scattering between microfacets (Turquin 2019).
"""

from __future__ import annotations

import math

import numpy as np

from ._kernels import ggx

F0_DIELECTRIC = 0.04


def outgoing(base_color: np.ndarray, roughness: np.ndarray, metallic: np.ndarray, cosine: np.ndarray,
             irradiance: np.ndarray, specular: np.ndarray) -> np.ndarray:
    """Radiance towards the viewer, term by term: J diffuse terms, then L specular ones. (K, J + L, 3) float32.

    base_color: (K, 3) linear. roughness, metallic, cosine n.v: (K,). irradiance: (K, J, 3).
    specular: (K, L, 2, 3) means of weight*(1-Fc)*L and weight*Fc*L over GGX samples, so that a surface of reflectance
        F0 sends F0 * specular[..., 0, :] + specular[..., 1, :].
    """
    scale, bias = np.moveaxis(ggx.brdf(roughness, cosine), -1, 0)
    f0 = F0_DIELECTRIC + (base_color - F0_DIELECTRIC) * metallic[:, None]
    single = np.maximum(scale + bias, 1e-3)[:, None]
    compensation = 1 + (f0 + (1 - f0) / 21) * (1 - single) / single
    coat = (F0_DIELECTRIC * scale + bias) * (1 + (F0_DIELECTRIC + 0.0457) * (1 - single[:, 0]) / single[:, 0])
    albedo = base_color * ((1 - metallic) * (1 - coat))[:, None]
    diffuse = albedo[:, None] * irradiance / math.pi
    mirror = (f0[:, None] * specular[:, :, 0] + specular[:, :, 1]) * compensation[:, None]
    return np.concatenate([diffuse, mirror], 1).astype(np.float32)
