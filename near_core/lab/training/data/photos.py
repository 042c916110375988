"""Training samples of the photo side: a crop of a picture under mixed lights, and the surface it shows."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import OpenEXR
import torch
import torch.nn.functional as F

from ....create.photo_config import MattingConfig
from ....models.mini.layout import RESOLVED, SIZE, Picture
from ....scene import camera as cameras
from .color import srgb_encode

MARGIN = MattingConfig().photo_margin
HUED = 0.15  # of the photos have their colours in another order: light and colours may be of any hue


def read_rgba(path: Path) -> np.ndarray:
    """(H, W, 4) float16 linear, premultiplied."""
    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = file.channels()
        return np.stack([channels[c].pixels for c in "RGBA"], -1).astype(np.float16)


def find_crop(alpha: np.ndarray) -> tuple[float, float, float]:
    """Centre x, y and side in pixels of the square around what is opaque, alpha (H, W)."""
    rows, columns = np.flatnonzero((alpha > 0.5).any(1)), np.flatnonzero((alpha > 0.5).any(0))
    if not len(rows):
        return alpha.shape[1] / 2, alpha.shape[0] / 2, float(max(alpha.shape))
    height, width = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    return (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2, MARGIN * max(width, height)


def place_pixels(window: tuple[float, float, float], shape: tuple[int, int], roll: float = 0.0,
                 mirrored: bool = False, size: int = SIZE) -> torch.Tensor:
    """Where the pixels of a crop lie in a picture of shape (H, W): (size, size, 2), x and y in [-1, 1].

    roll: radians by which the crop is turned in the picture. mirrored: left and right change places.
    """
    cx, cy, side = window
    height, width = shape
    steps = ((torch.arange(size, dtype=torch.float32) + 0.5) / size - 0.5) * side
    x, y = (-steps if mirrored else steps)[None].expand(size, size), steps[:, None].expand(size, size)
    c, s = math.cos(roll), math.sin(roll)
    return torch.stack([(cx + c * x - s * y) / width * 2 - 1, (cy + s * x + c * y) / height * 2 - 1], -1)


def make_network_image(premultiplied: torch.Tensor, window: tuple[float, float, float], roll: float = 0.0,
                       mirrored: bool = False) -> torch.Tensor:
    """(4, H, W) linear premultiplied -> (PICTURE, SIZE, SIZE), as Picture."""
    where = place_pixels(window, premultiplied.shape[1:], roll, mirrored, RESOLVED)
    shrink = window[2] / RESOLVED
    if shrink > 1.5:  # keep fine detail from aliasing
        kernel = int(round(shrink))
        premultiplied = F.avg_pool2d(premultiplied[None], kernel, 1, kernel // 2, count_include_pad=False)[0]
    crop = F.grid_sample(premultiplied[None], where[None], align_corners=False, padding_mode="zeros")[0]
    alpha = crop[[Picture.ALPHA]].clamp(0, 1)
    color = srgb_encode(crop[Picture.COLOR] / alpha.clamp(min=1e-3)) * 2 - 1
    picture = torch.cat([color * alpha, alpha])[None]
    return F.interpolate(picture, (SIZE, SIZE), mode="bilinear", align_corners=False)[0]


def jitter_crop(window: tuple[float, float, float], rng: np.random.Generator) -> tuple[float, float, float]:
    """A crop somewhat off and of another size, as a rough matte gives it."""
    cx, cy, side = window
    x, y = rng.normal(0, 0.02, 2) * side
    return cx + x, cy + y, side * rng.uniform(0.95, 1.2)


def crop_camera(camera: cameras.Camera, window: tuple[float, float, float]) -> cameras.Camera:
    """The camera of a crop."""
    cx, cy, side = window
    return camera.crop(cx - side / 2, cy - side / 2, side, side)


@dataclass
class LitView:
    """Pictures of one camera under several lights. pictures: (L, H, W, 4) float16 linear premultiplied."""

    camera: cameras.Camera
    pictures: np.ndarray


def list_views(folder: Path) -> list[Path]:
    """The view files of one asset of a data set, by number."""
    return sorted((p for p in folder.glob("*.json") if p.stem.isdigit()), key=lambda p: int(p.stem))


def read_views(folder: Path, count: int | None = None) -> list[LitView]:
    """The views of one asset of a data set, pictures that share a camera together."""
    views: dict[str, tuple[cameras.Camera, list[np.ndarray]]] = {}
    for path in list_views(folder):
        view = json.loads(path.read_text())
        key = json.dumps(view["camera"])
        views.setdefault(key, (cameras.from_json(view["camera"]), []))[1].append(read_rgba(path.with_suffix(".exr")))
    return [LitView(camera, np.stack(pictures)) for camera, pictures in list(views.values())[:count]]


def read_cameras(folder: Path) -> list[cameras.Camera]:
    """The cameras of read_views, without their pictures."""
    found: dict[str, cameras.Camera] = {}
    for path in list_views(folder):
        view = json.loads(path.read_text())["camera"]
        found.setdefault(json.dumps(view), cameras.from_json(view))
    return list(found.values())


def turn_camera(camera: cameras.Camera, degrees: float) -> tuple[cameras.Camera, np.ndarray]:
    """The camera after the object and it were turned about +Z; and the (3, 3) turn itself, world to world."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    matrix = camera.world_to_camera.copy()
    matrix[:3, :3] = matrix[:3, :3] @ turn.T
    return cameras.replace(camera, world_to_camera=matrix), turn


def mix_lights(view: LitView, rng: np.random.Generator, augment: bool) -> torch.Tensor:
    """(4, H, W) float32: one of the lights or a coloured mixture, at a random exposure."""
    pictures = view.pictures.astype(np.float32)
    if not augment:
        return torch.from_numpy(pictures[0]).permute(2, 0, 1).contiguous()
    weights = rng.dirichlet(np.full(len(pictures), 0.5))[:, None] * rng.uniform(0.8, 1.2, (len(pictures), 3))
    picture = np.empty_like(pictures[0])
    picture[..., :3] = np.einsum("lhwc,lc->hwc", pictures[..., :3], weights)
    picture[..., 3] = pictures[0, ..., 3]
    level = np.percentile(picture[..., :3].max(-1)[picture[..., 3] > 0.5], 80) if (picture[..., 3] > 0.5).any() else 1
    # phones and photographers expose for the subject, roughly
    target = rng.uniform(0.25, 1.1)
    blend = rng.uniform(0, 1) if rng.random() < 0.5 else 0.0
    picture[..., :3] *= (target / max(level, 1e-3)) ** blend
    return torch.from_numpy(picture).permute(2, 0, 1).contiguous()
