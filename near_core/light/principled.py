"""The physically based surface: Blender's Principled BSDF for opaque dielectrics and metals (IOR 1.5).

Diffuse below a dielectric coat whose albedo is taken off, GGX with Fresnel's equations for dielectrics and Schlick's
formula for metals, and energy compensation for scattering between microfacets (Turquin 2019).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from .._kernels import ggx, microfacets

IOR = 1.5
F0_DIELECTRIC = ((IOR - 1) / (IOR + 1)) ** 2


def reflect(nl: np.ndarray, nv: np.ndarray, vl: np.ndarray, alpha2: np.ndarray) -> np.ndarray:
    """GGX for light from single directions: what F0 and F90 are multiplied with, cosine included. (K, P, 2) float32.

    nl, vl: (K, P) cosines of the light with normal and view, nv: (K, 1) of the view with the normal. alpha2: (K, 1) or
    (K, P), squared width. Height-correlated Smith (Heitz 2014), Schlick's Fresnel.
    """
    # h = (v + l) / |v + l|, |v + l|^2 = 2 + 2 v.l
    length = np.sqrt(np.maximum(2 + 2 * vl, 1e-8))
    nh, vh = np.minimum((nl + nv) / length, 1), length / 2
    density = alpha2 / (np.pi * (nh * nh * (alpha2 - 1) + 1) ** 2)
    root = lambda c: np.sqrt(alpha2 + (1 - alpha2) * c * c)
    sent = np.where(nl > 0, 0.5 * density * nl / np.maximum(nl * root(nv) + nv * root(nl), 1e-8), 0)
    fresnel = (1 - np.minimum(vh, 1)) ** 5
    return np.stack([sent * (1 - fresnel), sent * fresnel], -1).astype(np.float32)


def evaluate(base_color: np.ndarray, roughness: np.ndarray, metallic: np.ndarray, cosine: np.ndarray,
             irradiance: np.ndarray, specular: np.ndarray) -> np.ndarray:
    """Radiance towards the viewer, term by term: J diffuse terms, then L specular ones. (K, J + L, 3) float32.

    base_color: (K, 3) linear. roughness, metallic, cosine n.v: (K,). irradiance: (K, J, 3).
    specular: (K, L, 2, 3) means of weight*(1-Fc)*L and weight*Fc*L over GGX samples, so that a surface of reflectance
        F0 sends F0 * specular[..., 0, :] + specular[..., 1, :].
    """
    scale, bias = np.moveaxis(ggx.look_up_brdf(roughness, cosine), -1, 0)
    single = np.maximum(scale + bias, 1e-3)
    lost = (1 - single) / single

    def compensation(f0: np.ndarray | float) -> np.ndarray:
        return 1 + (f0 * np.float32(20 / 21) + np.float32(1 / 21)) * lost

    exact = compensation(F0_DIELECTRIC) * look_up_dielectric(roughness, cosine)
    glossy = (1 - metallic) * exact
    sent = (1 - metallic) * (1 - exact * (F0_DIELECTRIC * scale + bias)) / math.pi  # what the coat lets through
    base = np.ascontiguousarray(base_color.T)  # numpy is quick along an axis, slow across three channels
    metal = metallic * compensation(base)
    f0, f90 = base * metal + F0_DIELECTRIC * glossy, metal + glossy
    diffuse = np.ascontiguousarray(np.moveaxis(irradiance, 0, -1)) * (base * sent)  # (J, 3, K)
    glare = np.ascontiguousarray(np.moveaxis(specular, 0, -1))  # (L, 2, 3, K)
    return np.concatenate([diffuse, f0 * glare[:, 0] + f90 * glare[:, 1]]).transpose(2, 0, 1)


def look_up_dielectric(roughness: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """What a dielectric lobe reflects by Fresnel's equations, over what Schlick's formula makes of it. (K,)."""
    table = _make_dielectric_table()
    last = len(table) - 1
    return table[np.rint(np.clip(roughness, 0, 1) * last).astype(np.int32),
                 np.rint(np.clip(cosine, 0, 1) * last).astype(np.int32)]


@cache
def _make_dielectric_table(size: int = 64) -> np.ndarray:
    """(size, size) float32 by roughness and n.v, from the same samples of visible normals as ggx.tabulate_brdf."""
    unit = np.linspace(0, 1, size)
    cosine = np.maximum(unit, 1e-3)
    view = np.stack([np.sqrt(1 - cosine**2), np.zeros(size), cosine], -1)
    u = microfacets.hammersley(128)
    table = np.empty((size, size), np.float32)
    for row, roughness in enumerate(unit):
        _, weight, schlick, _ = microfacets.reflect(view, max(roughness**2, 1e-3), u[:, 0], u[:, 1])
        c = 1 - schlick**0.2
        g = np.sqrt(IOR**2 - 1 + c * c)
        fresnel = 0.5 * ((g - c) / (g + c)) ** 2 * (1 + ((c * (g + c) - 1) / (c * (g - c) + 1)) ** 2)
        table[row] = (weight * fresnel).sum(-1) / (weight * (F0_DIELECTRIC + (1 - F0_DIELECTRIC) * schlick)).sum(-1)
    return table
