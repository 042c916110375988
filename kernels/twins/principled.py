"""Plain specification of kernels/principled.py."""

import numpy as np

from ..ggx import look_up_brdf


def evaluate(base_color, roughness, metallic, cosine, irradiance, specular, dielectric, f0):
    """(K, J + L, 3): diffuse terms, then specular ones."""
    scale, bias = np.moveaxis(look_up_brdf(roughness, cosine), -1, 0)
    single = np.maximum(scale + bias, 1e-3)
    compensation = lambda reflected: 1 + (20 * reflected + 1) / 21 * (1 - single) / single
    last = len(dielectric) - 1
    row, column = (np.rint(np.clip(each, 0, 1) * last).astype(int) for each in (roughness, cosine))
    exact = compensation(f0) * dielectric[row, column]
    glossy = (1 - metallic) * exact
    sent = (1 - metallic) * (1 - exact * (f0 * scale + bias)) / np.pi  # what the coat lets through
    made = [irradiance[:, j] * base_color * sent[:, None] for j in range(irradiance.shape[1])]
    metal = metallic[:, None] * np.stack([compensation(base_color[:, c]) for c in range(3)], 1)
    first, second = base_color * metal + f0 * glossy[:, None], metal + glossy[:, None]
    made += [first * each[:, 0] + second * each[:, 1] for each in np.moveaxis(specular, 1, 0)]
    return np.stack(made, 1)
