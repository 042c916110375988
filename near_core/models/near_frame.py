"""One view of a decoded asset with the published lighting network, lighting only what the view shows."""
from dataclasses import dataclass

import numpy as np
import torch

from .._kernels import splat
from . import near_render
from .near_gaussians import Gaussians

VIEW_DISTANCE = 2.0  # of the cameras the lighting network was trained with


@dataclass
class Decoded:
    """An asset after the decoder. coords: (N, 4) int32; h: (N, C) and registers: (1, R, C) float32."""
    coords: torch.Tensor
    h: torch.Tensor
    registers: torch.Tensor


@dataclass
class Frame:
    """A lit view. maps: name -> (H, W, C) float32, premultiplied over black; lit: share of the voxels that were lit."""
    maps: dict
    lit: float


def draw(renderer, basis, decoded, memory, camera, cull=True):
    """Light and splat an asset.

    renderer, basis: the networks; memory: `renderer.memorize` of registers and light tokens; camera:
    near_core.camera.Camera in the asset's frame. Voxels do not see each other in the lighting network, and what it decides
    leaves shape and opacity alone: the splatter tells first which voxels any pixel takes something from, and with `cull`
    only those are lit. The picture is the same. Returns a `Frame`.
    """
    eye = torch.as_tensor(embedding_camera(camera.position), device=decoded.h.device)
    observed = renderer.observe(decoded.coords, eye[None])
    geometry = renderer.geometry(decoded.h, observed)
    raw = renderer.place(geometry, decoded.coords)
    whole = Gaussians({name: value.flatten(0, 1) for name, value in raw.items()}, renderer.representation, eye)
    view = (camera.world_to_camera, camera.intrinsics, (camera.width, camera.height), camera.near, camera.far,
            camera.orthographic)
    material = near_render.array(near_render.material_features(whole, camera.world_to_camera))
    maps = near_render.maps_of(*splat.rasterize(near_render.project(whole, "_scaling", *view), material, *view[2]),
                               near_render.MATERIAL_MAPS, "")

    seen = near_render.project(whole, "_scaling_view", *view)
    count = renderer.representation.num_gaussians
    rows = shown(seen, *view[2], count) if cull else np.arange(len(decoded.h))
    features = np.zeros((len(decoded.h), count, 11), np.float32)
    if len(rows):
        some = torch.as_tensor(rows, device=decoded.h.device)
        part = {name: value[some] for name, value in raw.items()}
        part |= renderer.light(geometry[some], decoded.h[some], observed[some], decoded.coords[some], memory)
        lit = Gaussians({name: value.flatten(0, 1) for name, value in part.items()}, renderer.representation, eye)
        features[rows] = near_render.array(
            near_render.light_features(lit, basis, camera.world_to_camera)).reshape(-1, count, 11)
    maps |= near_render.maps_of(*splat.rasterize(seen, features.reshape(-1, 11), *view[2]), near_render.LIGHT_MAPS, "_view")
    return Frame(maps, len(rows) / max(len(decoded.h), 1))


def shown(projection, width, height, count):
    """The voxels, by row, of which any pixel takes something; count: Gaussians of a voxel."""
    weights = splat.contributions(projection, width, height)
    return np.flatnonzero(weights.reshape(-1, count).sum(1) > 0)


def embedding_camera(position):
    """Where the lighting network is told the camera is: on the ray to the real one, at the distance of its training.
    position: (3,) asset frame. Returns (3,) float32."""
    distance = np.linalg.norm(position)
    direction = position / distance if distance > 1e-6 else np.array([0.0, -1.0, 0.0])
    return (direction * VIEW_DISTANCE).astype(np.float32)
