"""What the published networks are fed: light maps, image crops, voxels of a mesh and cameras, in their conventions."""
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ...directions import unit
from ...errors import NearError
from ...image import srgb_encode
from ...mesh import find_occupied

MAP_ROWS, MAP_COLUMNS = 512, 1024  # of the equirect map inside the published pipeline; its columns are then halved
WHITE = 16.0  # radiance that tone mapping sends to 1
LOG_SCALE = 1000.0
IMAGE_SIDE = 518  # pixels of the crop the image encoder sees
MARGIN = 1.2  # side of the crop over the larger side of the object
OPAQUE = 0.8 * 255  # alpha above which a pixel belongs to the object


def light_map(radiance, rotation_degrees=0.0):
    """Environment to the nine channels of the tokenizer.

    radiance: (H, W, 3) float32 linear, equirect: centre +X, quarter +Y, top +Z. rotation_degrees turns the light to the
    left in the raster. Returns (9, 512, 512) float32: tone-mapped (3) and logarithmic (3) radiance about -1..1, and the
    direction in the map's own frame (3). The raster's centre is +Y, its quarter -X.
    """
    radiance = torch.as_tensor(np.ascontiguousarray(radiance, np.float32))
    if radiance.ndim != 3 or radiance.shape[2] != 3:
        raise NearError("The environment map is not a picture with three channels.", "Use an RGB equirectangular map.")
    rows = torch.from_numpy((np.arange(MAP_ROWS) * (radiance.shape[0] / MAP_ROWS)).astype(np.int64))
    columns = torch.from_numpy((np.arange(MAP_COLUMNS) * (radiance.shape[1] / MAP_COLUMNS)).astype(np.int64))
    radiance = radiance[rows][:, columns]  # nearest

    direction = raster_directions(math.radians(rotation_degrees))[:, ::2]  # (512, 512, 3)
    limit = 1 - 1e-7
    across = -torch.atan2(direction[..., 1], direction[..., 0]) / math.pi
    down = 2 * torch.acos(direction[..., 2].clamp(-limit, limit)) / math.pi - 1
    grid = torch.stack([across.clamp(-limit, limit), down.clamp(-limit, limit)], -1)
    seen = F.grid_sample(radiance.permute(2, 0, 1)[None], grid[None], align_corners=True)[0]  # (3, 512, 512)
    return torch.cat([tone_map(seen) * 2 - 1, log_map(seen) - 1, direction.permute(2, 0, 1)])


def raster_directions(rotation):
    """Unit vectors (512, 1024, 3) through the pixel centres, rotation in radians."""
    up, around = math.pi / 2 * (1 - 1 / MAP_ROWS), math.pi * (1 - 1 / MAP_COLUMNS)  # the outermost pixel centres
    elevation = torch.linspace(up, -up, MAP_ROWS)
    azimuth = torch.linspace(around, -around, MAP_COLUMNS) - rotation - math.pi / 2
    elevation, azimuth = elevation[:, None], azimuth[None]
    return torch.stack(torch.broadcast_tensors(
        -azimuth.cos() * elevation.cos(), -azimuth.sin() * elevation.cos(), elevation.sin()), -1)


def tone_map(x):
    """Reinhard's curve with a white point (2002, equation 4), per channel, then the sRGB curve; any shape, to 0..1."""
    return torch.from_numpy(srgb_encode((x * (1 + x / WHITE ** 2) / (1 + x)).numpy()))


def log_map(x):
    """ln(1 + 10 x) over ln(1 + 1000): 0 at black, 1 at radiance 100."""
    return torch.log1p(10 * x) / math.log1p(LOG_SCALE)


def crop(rgba):
    """Cut a square around the object. rgba: (H, W, 4) uint8, straight alpha. Returns (518, 518, 4) uint8."""
    rows, columns = np.nonzero(rgba[..., 3] > OPAQUE)
    if len(rows) == 0:
        raise NearError("The picture shows no object: nothing of it is opaque.",
                        "Use a picture or a mask with an object.")
    left, top, right, bottom = columns.min(), rows.min(), columns.max(), rows.max()
    centre_x, centre_y = (left + right) / 2, (top + bottom) / 2
    half = int(max(right - left, bottom - top) * MARGIN) // 2
    box = (centre_x - half, centre_y - half, centre_x + half, centre_y + half)
    picture = Image.fromarray(rgba).crop(box)  # rounds the edges, pads with transparent black
    return np.asarray(picture.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.LANCZOS))


def over(rgba, background):
    """rgba: (H, W, 4) uint8, straight alpha, over a grey level 0..1. Returns (H, W, 3) uint8, truncated."""
    picture = rgba.astype(np.float32) / 255
    alpha = picture[..., 3:]
    return ((picture[..., :3] * alpha + background * (1 - alpha)) * 255).astype(np.uint8)


def mesh_voxels(vertices, faces, resolution=64):
    """Occupied voxels of a mesh that stands y-up in about [-1, 1]^3. Returns (N, 3) int32, sorted, grid z-up."""
    x, y, z = np.asarray(vertices, np.float64).T
    upright = np.clip(np.stack([x, -z, y], 1) / 2, -0.5 + 1e-6, 0.5 - 1e-6)
    return find_occupied(upright, faces, resolution)


def extrinsics(yaw, pitch, radius):
    """OpenCV world-to-camera (4, 4) float32 of a camera that looks at the origin; yaw 0 stands on +Y, 90 on +X.
    Degrees."""
    yaw, pitch = math.radians(yaw), math.radians(pitch)
    place = radius * np.array([math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch)])
    forward = -unit(place)
    right = unit(np.cross(forward, [0.0, 0.0, 1.0]))
    rotation = np.stack([right, np.cross(forward, right), forward])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ place
    return matrix.astype(np.float32)


def intrinsics(fov):
    """Normalized to a picture of side 1, (3, 3) float32; fov in degrees."""
    focal = 0.5 / math.tan(math.radians(fov) / 2)
    return np.array([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1]], np.float32)


def spiral(count):
    """Yaw and pitch in radians, (count, 2), of the published turntable; the last view is the first again."""
    turn = np.linspace(0, 2 * math.pi, count)
    return np.stack([turn, 0.25 + 0.5 * np.sin(turn)], 1)


def sphere(count):
    """Yaw and pitch in radians, (count, 2), evenly over the sphere."""
    points = np.array([hammersley(2, index, count) for index in range(count)])
    return np.stack([2 * math.pi * points[:, 1], np.arccos(1 - 2 * points[:, 0]) - math.pi / 2], 1)


def hammersley(dimensions, index, count):
    """Point `index` of a low-discrepancy set of `count` in [0, 1)^dimensions (Hammersley 1960)."""
    return [index / count] + [radical_inverse(prime, index) for prime in (2, 3, 5, 7)[:dimensions - 1]]


def radical_inverse(base, index):
    """The digits of `index` in `base`, mirrored at the point."""
    value, place = 0.0, 1 / base
    while index:
        index, digit = divmod(index, base)
        value += digit * place
        place /= base
    return value
