"""The verb create with a published checkpoint: photos become a neural asset of that checkpoint.

DINOv2's tokens of the photos condition TRELLIS's structure flow, which tells the voxels (a mesh can do that instead),
and the published flow, which gives them their latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .. import mesh as meshes
from ..asset import RESOLUTION, NeuralAsset, estimate_voxel_normals
from ..asset.layout import VoxelMaterial
from ..create.create import Listener, matte_of
from ..create.photo import Matte, cut_out
from ..create.shot import Shot
from ..directions import encode_octahedral
from ..errors import NearError
from ..image import read_photo, srgb_decode
from ..mesh import find_occupied
from ..models.mini.runtime import NearMini
from ..models.near import conditioning
from ..models.near.pipeline import Pipeline
from ..progress import Progress, part, silent

MODEL = "near"
LONGEST = 1024  # pixels of the longer side of a photo whose object has to be found, as published
INSIDE = 0.5 - 1e-6  # of the cube, so that a mesh that fills it loses no voxel


def create_from_image(photos: Sequence[Shot | str | Path | np.ndarray], *, pipeline: Pipeline,
                      mesh: meshes.Mesh | None = None, seed: int = 0, mode: str = "stochastic", name: str,
                      source: str = "", normalize: bool = False, matting: str = "near", progress: Progress = silent,
                      listener: Listener = Listener()) -> NeuralAsset:
    """A neural asset of the object in photos, with the latent of a published checkpoint.

    photos, mesh, seed, normalize, matting, listener: as in create.create.create_from_image; from where a photo was
    taken is not asked, the networks do not look for it. mode: how several photos are used, as in
    models.near.sampler.guided_velocity. Raises NearError for what the checkpoint or the photos lack, before anything is
    sampled where that can be told.
    """
    pipeline.checkpoint.require_creation(structure=mesh is None)
    near_mini = NearMini()
    shots = [photo if isinstance(photo, Shot) else Shot(photo) for photo in photos]
    pictures = [_picture(shot, matte_of(near_mini, matting, hints=shot.hints), part(progress, 0.0, 0.05))
                for shot in shots]
    crop = conditioning.crop(pictures[0]).astype(np.float32) / 255
    listener.preview(crop[..., 3], srgb_decode(crop[..., :3]) * crop[..., 3:])
    progress("Image features", 0.05)
    images = pipeline.image_tokens(pictures)
    extent = 1.0
    if mesh is None:
        progress("Shape", 0.1)
        coords = pipeline.structure(images, seed, mode, _named("Shape", part(progress, 0.1, 0.4)))
    else:
        if normalize:
            mesh, extent, _ = meshes.normalize(mesh)
        coords = find_occupied(np.clip(mesh.vertices, -INSIDE, INSIDE), mesh.faces, RESOLUTION)
    if not len(coords):
        raise NearError("No shape was found for this photo.", "Try another seed or photo, or choose a mesh as shape.")
    progress("Latent", 0.4)
    slat = pipeline.latent(coords, images, seed, mode, _named("Latent", part(progress, 0.4, 0.95)))
    progress("Material", 0.95)
    material = np.ones((len(coords), VoxelMaterial.COLUMNS), np.float16)  # these networks tell no confidence: 1
    material[:, VoxelMaterial.MATERIAL] = pipeline.material(pipeline.decode(coords, slat))
    material[:, VoxelMaterial.NORMAL] = encode_octahedral(estimate_voxel_normals(coords))
    digest = pipeline.digest
    progress("Done", 1.0)
    return NeuralAsset(np.ascontiguousarray(coords, np.uint8), material, slat.astype(np.float16), name=name,
                       source=source, extent=extent, model=MODEL, model_hash=digest)


def _picture(shot: Shot, matte: Matte | None, progress: Progress) -> np.ndarray:
    """(H, W, 4) uint8 sRGB with straight alpha, what is not object transparent."""
    picture = shot.picture if isinstance(shot.picture, np.ndarray) else read_photo(shot.picture)
    scale = LONGEST / max(picture.shape[:2])
    if scale < 1 and (picture.shape[2] == 3 or picture[..., 3].min() == 255):
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        picture = np.asarray(Image.fromarray(picture[..., :3]).resize(size, Image.Resampling.LANCZOS))
    encoded, alpha, *_ = cut_out(picture, shot.mask, matte, progress, hinted=shot.hints is not None)
    return np.round(np.dstack([encoded, alpha]) * 255).astype(np.uint8)


def _named(phase: str, progress: Progress) -> Progress:
    return lambda _, fraction: progress(phase, fraction)
