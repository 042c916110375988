"""From photos to voxels and their latent, with near-mini's photo networks."""

from __future__ import annotations

import numpy as np

from . import latent
from .asset import RESOLUTION
from .camera import Camera
from .errors import NearError
from .image import srgb_encode
from .photo import Photo
from .runtime import NearMini

SIZE = 128  # pixels of the crop the networks see
COARSE = 32  # cells along an edge of the structure grid
MATTE_SIZE = 192  # pixels of the square that the matting network sees
LIKELY = 0.3  # probability from which a cell is taken


def network_image(photo: Photo) -> np.ndarray:
    """(4, SIZE, SIZE) float32: display colour over grey in [-1, 1], and alpha 0..1."""
    shrink = len(photo.alpha) // SIZE
    mean = lambda x: x.reshape(SIZE, shrink, SIZE, shrink, -1).mean((1, 3))  # noqa: E731
    alpha = mean(photo.alpha[..., None])
    colour = mean(photo.rgb * photo.alpha[..., None]) / np.maximum(alpha, 1e-3)
    return np.concatenate([(srgb_encode(np.clip(colour, 0, 1)) * 2 - 1) * alpha, alpha], -1).transpose(2, 0, 1)


def project(points: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Where points of the asset's frame fall in the crop's picture.

    points: (P, 3) float32. Returns uv (P, 2), (-1, -1) the top left corner; ray (P, 4): unit direction from the camera
    in the asset's frame, and how much deeper than the frame's origin.
    """
    matrix = camera.world_to_camera.astype(np.float32)
    seen = points @ matrix[:3, :3].T + matrix[:3, 3]
    focal, centre = np.diag(camera.intrinsics)[:2].astype(np.float32), camera.intrinsics[:2, 2].astype(np.float32)
    pixel = seen[:, :2] / np.maximum(seen[:, 2:], 1e-3) * focal + centre
    uv = pixel / np.array([camera.width, camera.height], np.float32) * 2 - 1
    ray = points - camera.position.astype(np.float32)
    ray /= np.maximum(np.linalg.norm(ray, axis=1, keepdims=True), 1e-9)
    return uv, np.concatenate([ray, seen[:, 2:] - matrix[2, 3]], 1)


def look_up(maps: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """maps (C, h, w) at uv (P, 2), bilinear, 0 outside. (P, C) float32."""
    channels, height, width = maps.shape
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1))).reshape(channels, -1)
    x = np.clip((uv[:, 0] + 1) / 2 * width + 0.5, 0, width + 0.999)
    y = np.clip((uv[:, 1] + 1) / 2 * height + 0.5, 0, height + 0.999)
    x0, y0 = x.astype(int), y.astype(int)
    fx, fy = (x - x0).astype(np.float32), (y - y0).astype(np.float32)
    at = y0 * (width + 2) + x0
    found = (padded[:, at] * ((1 - fx) * (1 - fy)) + padded[:, at + 1] * (fx * (1 - fy))
             + padded[:, at + width + 2] * ((1 - fx) * fy) + padded[:, at + width + 3] * (fx * fy))
    return found.T.astype(np.float32)


def widths(picture: np.ndarray) -> list[np.ndarray]:
    """A network image (4, SIZE, SIZE), itself and averaged over 4 and 16 pixels, and the mean where it is opaque."""
    mean = lambda step: picture.reshape(4, SIZE // step, step, SIZE // step, step).mean((2, 4))  # noqa: E731
    whole = picture.mean((1, 2)) / max(float(picture[3].mean()), 1e-3)
    return [picture, mean(4), mean(16), whole[:, None, None]]


def pixels(levels: list[np.ndarray], uv: np.ndarray) -> np.ndarray:
    """What Slat sees at uv (P, 2) of a photo's widths. (P, 16) float32."""
    whole = np.broadcast_to(levels[3][:, 0, 0], (len(uv), 4))
    return np.concatenate([*(look_up(level, uv) for level in levels[:3]), whole], 1).astype(np.float32)


def matte(model: NearMini, picture: np.ndarray) -> np.ndarray:
    """How much of each pixel of a photo (H, W, 3), sRGB 0..1, belongs to the object in front. (H, W) float32 0..1."""
    from PIL import Image
    height, width = picture.shape[:2]
    small = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8)).resize((MATTE_SIZE,) * 2,
                                                                                    Image.Resampling.BOX)
    squeezed = np.asarray(small, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
    logits = model.run("matte", picture=squeezed)[0][0]
    alpha = Image.fromarray(1 / (1 + np.exp(-logits))).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(alpha), 0, 1)


def cell_centres(resolution: int) -> np.ndarray:
    """(resolution^3, 3) float32 centres of the cells of [-0.5, 0.5]^3, x slowest."""
    axis = (np.arange(resolution, dtype=np.float32) + 0.5) / resolution - 0.5
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def visible(points: np.ndarray, camera: Camera, slack: float = 2.5 / RESOLUTION) -> np.ndarray:
    """(P,) float32: 1 where a point (P, 3) is within `slack` of the nearest one behind the same pixel of a 64^2 view."""
    uv, ray = project(points, camera)
    pixel = np.clip(((uv + 1) / 2 * 64).astype(int), 0, 63)
    nearest = np.full((66, 66), np.inf, np.float32)
    for dy in range(3):  # a voxel covers its neighbours' pixels too, so that no gaps open
        for dx in range(3):
            np.minimum.at(nearest, (pixel[:, 1] + dy, pixel[:, 0] + dx), ray[:, 3])
    return (ray[:, 3] <= nearest[pixel[:, 1] + 1, pixel[:, 0] + 1] + slack).astype(np.float32)


def children_of(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """cells (K, 3) of 32^3 -> children (K * 8, 3) of 64^3, and their corners (K * 8, 3) float32, -1 or 1."""
    corner = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), -1).reshape(8, 3)
    return (cells[:, None] * 2 + corner).reshape(-1, 3), np.tile(corner * 2 - 1, (len(cells), 1)).astype(np.float32)


class View:
    """One photo with its camera, and what the networks made of it."""

    def __init__(self, model: NearMini, photo: Photo, camera: Camera):
        self.model, self.camera = model, camera
        self.image = network_image(photo)
        uv, ray = project(cell_centres(COARSE), camera)
        logits, cells, maps = model.run("structure", image=self.image[None], uv=uv[None], ray=ray[None])
        self.logits, self.cells, self.maps = logits[0], cells[0], maps[0]

    def pixels(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel features and RGBA (P, C + 4), and rays (P, 4), of points (P, 3)."""
        uv, ray = project(points, self.camera)
        return np.concatenate([look_up(self.maps, uv), look_up(self.image, uv)], 1), ray

    def parents(self, coords: np.ndarray) -> np.ndarray:
        """Cell features (P, W) of voxels (P, 3) of 64^3."""
        x, y, z = (coords.astype(int) // 2).T
        return self.cells[:, x, y, z].T


def occupied(model: NearMini, views: list[View]) -> np.ndarray:
    """Voxels of 64^3 with a surface in them, (N, 3) uint8, by all photos together."""
    mean = np.mean([view.logits for view in views], 0)
    threshold = min(np.log(LIKELY / (1 - LIKELY)), float(np.partition(mean.ravel(), -64)[-64]))
    cells = np.argwhere(mean >= threshold)
    children, corner = children_of(cells)
    centres = (children.astype(np.float32) + 0.5) / RESOLUTION - 0.5
    logits = np.zeros(len(children), np.float32)
    for view in views:
        pixel, ray = view.pixels(centres)
        logits += model.run("refine", cell=view.parents(children), pixel=pixel, ray=ray, child=corner)[0] / len(views)
    # a surface crosses a cell in about half of its children: the likelier half stays in any case
    half = np.partition(logits.reshape(-1, 8), 4, axis=1)[:, 4:5]
    coords = children[(logits.reshape(-1, 8) >= np.minimum(half, 0)).ravel()]
    if not len(coords):
        raise NearError("No shape was found in the photo.", "Use a photo in which the whole object is seen.")
    return coords.astype(np.uint8)


def decide(model: NearMini, views: list[View], coords: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The latent of voxels (N, 3): (N, C) float32, and how sure it is, (N,) float32 0..1."""
    centres = (coords.astype(np.float32) + 0.5) / RESOLUTION - 0.5
    around = latent.neighbours(coords)
    noise = np.random.default_rng(seed).standard_normal((len(coords), 4)).astype(np.float32)
    slats, sure = [], []
    for view in views:
        uv, ray = project(centres, view.camera)
        seen = visible(centres, view.camera)[:, None]
        slat, confidence = model.run("slat", pixel=pixels(widths(view.image), uv), ray=ray, seen=seen,
                                     noise=noise * (1 - seen), neighbours=around)
        slats.append(slat)
        sure.append(confidence)
    weight = np.stack(sure)[..., None] ** 2 + 1e-4
    return (np.stack(slats) * weight).sum(0) / weight.sum(0), np.max(sure, 0)
