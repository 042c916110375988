"""The Principled BSDF for opaque surfaces, term by term. The specification is kernels/twins/principled.py."""

import numpy as np

from .ggx import tabulate_brdf
from .library import INTEGER, POINTER, REAL, Kernel, require

_evaluate = Kernel("principled_evaluate", *[POINTER] * 4, INTEGER, POINTER, INTEGER, POINTER, INTEGER, POINTER, INTEGER,
                   POINTER, INTEGER, REAL, POINTER, INTEGER)


def evaluate(base_color: np.ndarray, roughness: np.ndarray, metallic: np.ndarray, cosine: np.ndarray,
             irradiance: np.ndarray, specular: np.ndarray, dielectric: np.ndarray, f0: float, *, threads: int = 0
             ) -> np.ndarray:
    """Radiance towards the viewer: J diffuse terms, then L specular ones. (K, J + L, 3) float32.

    base_color: (K, 3) linear. roughness, metallic, cosine n.v: (K,). irradiance: (K, J, 3). specular: (K, L, 2, 3),
    factors of F0 and F90. dielectric: (n, n) by roughness and cosine, what a dielectric lobe reflects by Fresnel's
    equations over what Schlick's formula makes of it. f0: of dielectrics. Metals by Schlick's formula, what is lost
    between microfacets given back (Turquin 2019).
    """
    count = len(require("base_color", base_color, (None, 3)))
    for name, array in (("roughness", roughness), ("metallic", metallic), ("cosine", cosine)):
        require(name, array, (count,))
    diffuse = require("irradiance", irradiance, (count, None, 3)).shape[1]
    glossy = require("specular", specular, (count, None, 2, 3)).shape[1]
    size, brdf = len(require("dielectric", dielectric, (None, None))), tabulate_brdf()
    require("dielectric", dielectric, (size, size))
    out = np.empty((count, diffuse + glossy, 3), np.float32)
    _evaluate(base_color, roughness, metallic, cosine, count, irradiance, diffuse, specular, glossy, brdf, len(brdf),
              dielectric, size, f0, out, threads)
    return out
