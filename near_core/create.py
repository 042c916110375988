"""The verb create: a mesh, a photo or both become a neural asset."""

from __future__ import annotations

import numpy as np

from . import mesh as meshes
from . import render, runtime, sampling
from .asset import NeuralAsset
from .progress import Progress, part, silent

MODEL = "near-mini"


def create_from_mesh(mesh: meshes.Mesh, *, name: str, source: str = "", normalize: bool = False,
                     model: runtime.NearMini | None = None, progress: Progress = silent) -> NeuralAsset:
    """A neural asset of a mesh in the asset's frame, the cube [-0.5, 0.5]^3, Z up.

    normalize: centre the mesh and scale its longest side to 1 first; the asset's extent keeps its size in metres.
    Raises NearError for a mesh without a surface, Cancelled when progress does.
    """
    extent = 1.0
    if normalize:
        mesh, extent, _ = meshes.normalized(mesh)
    progress("Surface", 0.0)
    surfels = sampling.sample_surfels(mesh, part(progress, 0.0, 0.7))
    progress("Voxels", 0.7)
    coords, material = sampling.voxelize(mesh, surfels)
    progress("Latent", 0.9)
    model = model or runtime.NearMini()
    slat = render.encode(model, surfels, coords) if "encoder" in model.graphs else np.zeros((len(coords), 0), np.float16)
    progress("Done", 1.0)
    return NeuralAsset(coords, material, slat, surfels, name=name, source=source, extent=extent, model=MODEL,
                       model_hash=model.digest)
