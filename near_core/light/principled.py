"""The physically based surface: Blender's Principled BSDF for opaque dielectrics and metals (IOR 1.5).

Diffuse below a dielectric coat whose albedo is taken off, GGX with Fresnel's equations for dielectrics and Schlick's
formula for metals, and energy compensation for scattering between microfacets (Turquin 2019).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from .._kernels import ggx, microfacets, principled

IOR = 1.5
F0_DIELECTRIC = ((IOR - 1) / (IOR + 1)) ** 2


def evaluate(base_color: np.ndarray, roughness: np.ndarray, metallic: np.ndarray, cosine: np.ndarray,
             irradiance: np.ndarray, specular: np.ndarray) -> np.ndarray:
    """Radiance towards the viewer, term by term: J diffuse terms, then L specular ones. (K, J + L, 3) float32.

    base_color: (K, 3) linear. roughness, metallic, cosine n.v: (K,). irradiance: (K, J, 3).
    specular: (K, L, 2, 3) means of weight*(1-Fc)*L and weight*Fc*L over GGX samples, so that a surface of reflectance
        F0 sends F0 * specular[..., 0, :] + specular[..., 1, :].
    """
    whole = lambda values: np.ascontiguousarray(values, np.float32)
    return principled.evaluate(whole(base_color), whole(roughness), whole(metallic), whole(cosine), whole(irradiance),
                               whole(specular), _make_dielectric_table(), F0_DIELECTRIC, threads=1)


def find_colors(base_color: np.ndarray, roughness: np.ndarray, metallic: np.ndarray, cosine: np.ndarray
                ) -> tuple[np.ndarray, np.ndarray]:
    """What surfaces send of light that comes from everywhere alike, diffuse and glossy, (K, 3) float32 each: what
    Cycles calls their colours."""
    even = np.full((len(base_color), 1, 3), np.pi)  # irradiance
    mirrored = np.repeat(ggx.look_up_brdf(roughness, cosine)[:, None, :, None], 3, 3)
    return tuple(np.moveaxis(evaluate(base_color, roughness, metallic, cosine, even, mirrored), 1, 0))


@cache
def _make_dielectric_table() -> np.ndarray:
    """(64, 64) float32 by roughness and n.v, from the same samples of visible normals as ggx.tabulate_brdf."""
    unit = np.linspace(0, 1, 64)
    cosine = np.maximum(unit, 1e-3)
    view = np.stack([np.sqrt(1 - cosine**2), np.zeros(len(unit)), cosine], -1)
    u = microfacets.hammersley(128)
    table = np.empty((len(unit), len(unit)), np.float32)
    for row, roughness in enumerate(unit):
        _, weight, schlick, _ = microfacets.reflect(view, max(roughness**2, 1e-3), u[:, 0], u[:, 1])
        c = 1 - schlick**0.2
        g = np.sqrt(IOR**2 - 1 + c * c)
        fresnel = 0.5 * ((g - c) / (g + c)) ** 2 * (1 + ((c * (g + c) - 1) / (c * (g - c) + 1)) ** 2)
        table[row] = (weight * fresnel).sum(-1) / (weight * (F0_DIELECTRIC + (1 - F0_DIELECTRIC) * schlick)).sum(-1)
    return table
