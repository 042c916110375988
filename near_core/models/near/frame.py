"""A view of decoded assets with the published lighting network, lighting only what the view shows."""
from dataclasses import dataclass, field

import numpy as np
import torch

from ..._kernels import splat
from . import render
from .gaussians import DecodedGaussians
from .layout import LIGHT_MAPS, MATERIAL_MAPS, count_columns

VIEW_DISTANCE = 2.0  # of the cameras the lighting network was trained with


@dataclass
class Decoded:
    """An asset after the decoder. coords: (N, 4) int32; h: (N, C) and registers: (1, R, C) float32."""
    coords: torch.Tensor
    h: torch.Tensor
    registers: torch.Tensor


@dataclass
class LitAsset:
    """An asset in a picture. memory: `renderer.memorize` of its registers and light; matrix: (4, 4) asset to world."""
    decoded: Decoded
    memory: list
    matrix: np.ndarray = field(default_factory=lambda: np.eye(4))


@dataclass
class Frame:
    """maps: name -> (H, W, C) float32, premultiplied over black, normals in the world; lit: share of voxels that were
    lit."""
    maps: dict
    lit: float


class _Placed:
    """An asset before its light: everything the light does not change."""

    def __init__(self, renderer, asset, camera):
        self.asset, decoded = asset, asset.decoded
        matrix = np.asarray(asset.matrix, np.float64)
        eye = (np.linalg.inv(matrix) @ [*camera.position, 1])[:3]
        self.eye = torch.as_tensor(embedding_camera(eye), device=decoded.h.device)
        self.observed = renderer.observe(decoded.coords, self.eye[None])
        self.geometry = renderer.geometry(decoded.h, self.observed)
        self.raw = renderer.place(self.geometry, decoded.coords)
        self.gaussians = self._flat(renderer, self.raw)
        self.matrix = torch.as_tensor(matrix, dtype=torch.float32, device=decoded.h.device)
        self.turn = torch.linalg.inv(self.matrix[:3, :3])  # normals as rows: n M^-1 is M^-T n

    def _flat(self, renderer, raw):
        flat = {name: value.flatten(0, 1) for name, value in raw.items()}
        return DecodedGaussians(flat, renderer.representation, self.eye)

    def light(self, renderer, basis, rows):
        """Light features of some voxels. rows: (K,) int64. Returns (K, G, columns of LIGHT_MAPS) float32 array."""
        decoded, some = self.asset.decoded, torch.as_tensor(rows, device=self.geometry.device)
        raw = {name: value[some] for name, value in self.raw.items()}
        raw |= renderer.light(self.geometry[some], decoded.h[some], self.observed[some], decoded.coords[some],
                              self.asset.memory)
        features = render.light_features(self._flat(renderer, raw), basis, self.turn)
        return render.to_array(features).reshape(len(rows), -1, features.shape[1])


def draw(renderer, basis, assets, camera, cull=True):
    """Light and splat assets together.

    renderer, basis: the networks; assets: a list of `LitAsset`; camera: scene.Camera, world. Voxels do not see each
    other in the lighting network, and what it decides leaves shape and opacity alone: the splatter tells first which
    voxels any pixel takes something from, and with `cull` only those are lit. The picture is the same. Returns a
    `Frame`.
    """
    size, count = (camera.width, camera.height), renderer.representation.num_gaussians
    placed = [_Placed(renderer, asset, camera) for asset in assets]
    material = np.concatenate([render.to_array(render.material_features(each.gaussians, each.turn))
                               for each in placed])
    image = splat.rasterize(_project(placed, "_scaling", camera), material, *size)
    maps = render.name_maps(*image, MATERIAL_MAPS, "")

    seen = _project(placed, "_scaling_view", camera)
    total = len(material) // count
    shown = np.ones(total, bool)
    if cull:
        shown = splat.sum_contributions(seen, *size).reshape(total, count).sum(1) > 0
    features, first = np.zeros((total, count, count_columns(LIGHT_MAPS)), np.float32), 0
    for each in placed:
        rows = np.flatnonzero(shown[first:first + len(each.geometry)])
        if len(rows):
            features[first + rows] = each.light(renderer, basis, rows)
        first += len(each.geometry)
    image = splat.rasterize(seen, features.reshape(total * count, -1), *size)
    maps |= render.name_maps(*image, LIGHT_MAPS, "_view")
    return Frame(maps, float(shown.mean()))


def _project(placed, scaling, camera):
    parts = [render.shape(each.gaussians, scaling, each.matrix) for each in placed]
    xyz, covariance, opacity = (render.to_array(torch.cat(part)) for part in zip(*parts))
    return splat.project(xyz, covariance, opacity, camera.world_to_camera, camera.intrinsics, camera.width,
                         camera.height, near=camera.near, far=camera.far, orthographic=camera.orthographic)


def embedding_camera(position):
    """Where the lighting network is told the camera is: on the ray to the real one, at the distance of its training.
    position: (3,) asset frame. Returns (3,) float32."""
    distance = np.linalg.norm(position)
    direction = position / distance if distance > 1e-6 else np.array([0.0, -1.0, 0.0])
    return (direction * VIEW_DISTANCE).astype(np.float32)
