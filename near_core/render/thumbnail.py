"""A small picture of an asset for icons, without any renderer: its surface points, lit softly from the camera."""

from __future__ import annotations

import numpy as np

from .. import image
from ..asset import RESOLUTION, NeuralAsset
from ..asset.layout import VoxelMaterial
from ..directions import decode_octahedral
from ..scene.camera import orbit

TURNTABLE, ELEVATION = (0, 50, 110, 180), 15  # degrees of azimuth, and above
SIZE = 128  # pixels; the surface points lie about one pixel apart then
_FOOTPRINT = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])  # pixels that a point covers


def draw(asset: NeuralAsset, azimuth: float = 30, elevation: float = 20) -> np.ndarray:
    """The asset from its front right, a little above, or from an azimuth and an elevation in degrees. (SIZE, SIZE, 4)
    uint8 sRGB, straight alpha, row 0 on top."""
    if asset.surfels is not None:
        position, normal, color = asset.surfels.position, asset.surfels.shading_normal, asset.surfels.base_color
    else:
        material = asset.material.astype(np.float32)
        position = (asset.coords.astype(np.float32) + 0.5) / RESOLUTION - 0.5
        normal, color = decode_octahedral(material[:, VoxelMaterial.NORMAL]), material[:, VoxelMaterial.BASE_COLOR]
    camera = orbit(azimuth, elevation, distance=3, fov=28, width=SIZE, height=SIZE)
    seen = position @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    order = np.argsort(-seen[:, 2])  # the nearest point is written last and stays
    pixel = seen[order, :2] / seen[order, 2:] * camera.intrinsics[0, 0] + SIZE / 2
    x, y = np.clip(pixel.astype(int)[:, None] + _FOOTPRINT, 0, SIZE - 1).transpose(2, 0, 1)
    facing = np.abs((normal * camera.directions_to(position)).sum(1))
    shade = (0.1 + 0.9 * facing) * (0.75 + 0.25 * normal[:, 2])
    picture = np.zeros((SIZE, SIZE, 4), np.uint8)
    lit = color * shade[:, None]
    if asset.surfels is not None and asset.surfels.emission is not None:
        lit = np.minimum(lit + asset.surfels.emission, 1)
    lit = image.srgb_encode(lit)[order]
    picture[y, x, :3] = np.round(255 * lit)[:, None]
    picture[y, x, 3] = 255
    return picture
