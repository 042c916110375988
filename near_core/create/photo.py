"""Photos made ready for the networks: upright, without background, cropped to the object."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from .. import image
from ..directions import unit
from ..errors import NearError
from ..progress import Progress, silent
from ..scene import Camera
from ..scene.camera import orbit, pinhole
from .background import remove_background
from .fringe import clear_fringe
from .photo_config import MattingConfig

SIZE = 256  # pixels of the crop
FINE = 512  # pixels of the crop that skins are painted by
FINE_FROM = 1.25  # times SIZE that the crop has of the source's pixels, at least, where there is such a one
CUBE_PIXEL = 5e-4, 0.1  # of the cube's edge that a pixel of the crop shows, at least and at most
ELEVATION, FOV = 15.0, 40.0  # degrees; the guess of a photo of which nothing is known

# (H, W, 3) float32 sRGB 0..1 -> (H, W) float32 0..1, how much of each pixel is object; one that follows an artist's
# hints takes (H, W, 4) too, with the alpha that these correct
Matte = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Photo:
    """An object cut out of a photo.

    rgb: (S, S, 3) float32 linear Rec.709, not multiplied by alpha, 0 where alpha is 0. alpha: (S, S) float32 0..1.
    crop: x, y, side of the square window in the source's pixels, from its top left; it may stick out of the source.
    source_size: width, height of the upright photo; large ones have been averaged down by then.
    box: x0, y0, x1, y1 of the object in the source's pixels.
    fine: (FINE, FINE, 4) uint8, sRGB and alpha of the same crop, None where the source is no finer than the crop.
    is_found: whether nobody said what is object; what found it may err.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    crop: tuple[float, float, float]
    source_size: tuple[int, int]
    box: tuple[float, float, float, float]
    is_found: bool = False
    fine: np.ndarray | None = None

    def cropped(self, camera: Camera) -> Camera:
        """The camera of the whole photo, whatever its resolution says, as the camera of the crop."""
        x, y, side = self.crop
        window = camera.resize(*self.source_size).crop(x, y, side, side)
        return window.resize(len(self.alpha), len(self.alpha))

    def shows_cube(self, camera: Camera) -> bool:
        """Whether the asset's cube is in what a camera of the crop sees, and neither a speck nor all around."""
        with np.errstate(all="ignore"):
            x, y, depth = camera.world_to_camera[:3, 3]
            pixel = depth / camera.intrinsics[0, 0]  # asset units, where the cube's middle lies
            half = len(self.alpha) / 2
            aside = np.abs([x, y] + (camera.intrinsics[:2, 2] - half) * pixel)
            return bool(CUBE_PIXEL[0] < pixel < CUBE_PIXEL[1] and (aside < 0.87 + half * pixel).all())

    def uncropped(self, camera: Camera) -> Camera:
        """The camera of the crop as the camera of the whole photo."""
        x, y, side = self.crop
        scale = side / len(self.alpha)
        intrinsics = np.diag([scale, scale, 1.0]) @ camera.intrinsics
        intrinsics[:2, 2] += x, y
        return replace(camera, intrinsics=intrinsics, width=self.source_size[0], height=self.source_size[1], frame=None)

    def mirror(self) -> Photo:
        """Its mirror image, left and right."""
        (x, y, side), (x0, y0, x1, y1), width = self.crop, self.box, self.source_size[0]
        return replace(self, rgb=self.rgb[:, ::-1].copy(), alpha=self.alpha[:, ::-1].copy(),
                       fine=None if self.fine is None else self.fine[:, ::-1].copy(),
                       crop=(width - x - side, y, side), box=(width - x1, y0, width - x0, y1))

    def guess_camera(self, azimuth: float = 0.0, elevation: float = ELEVATION, fov: float = FOV) -> Camera:
        """A likely camera of the crop, where nothing is known but the angle.

        azimuth, elevation: degrees, the direction from which the object is seen. fov: degrees, of the whole photo's
        width. The ray through the middle of the object's box meets the middle of the asset's cube. The distance is
        0.5 / sin(half the angle that the longer side of the box subtends): an object whose longest side, 1, lies
        across the view then fills the box. (Median over the dev set's views; 80 % lie within -20 and +15 % of it.)
        """
        width, height = self.source_size
        intrinsics = pinhole(fov, width, height)
        x0, y0, x1, y1 = self.box
        x, y, half = (x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0) / 2
        step = (half, 0) if x1 - x0 >= y1 - y0 else (0, half)
        rays = np.array([[x, y], [x - step[0], y - step[1]], [x + step[0], y + step[1]]]) - intrinsics[:2, 2]
        rays = np.c_[rays / intrinsics[0, 0], np.ones(3)]
        middle, first, last = unit(rays)
        distance = 0.5 / math.sin(max(math.acos(np.clip(first @ last, -1, 1)) / 2, 1e-5))
        straight = orbit(azimuth, elevation, distance, fov, width, height)
        turn = np.eye(4)
        turn[:3, :3] = rotate_onto(middle)
        return self.cropped(replace(straight, world_to_camera=turn @ straight.world_to_camera))


def prepare(source: str | Path | np.ndarray, mask: str | Path | np.ndarray | None = None, matte: Matte | None = None,
            progress: Progress = silent, config: MattingConfig = MattingConfig(), hinted: bool = False) -> Photo:
    """Cuts the object out of a photo and crops the photo to it: a square with a margin, transparent outside.

    source: a picture file, or (H, W, 3 or 4) uint8 sRGB with straight alpha. What is object says, in this order: mask,
    a file or (H, W) float32 0..1 with the photo's proportions; the photo's own alpha where it cuts something out;
    matte, a network; else background.remove_background. hinted: matte follows an artist, who corrects the photo's own
    alpha, too, but no mask. Raises NearError where no object is found.
    """
    encoded, alpha, is_found, is_opaque = cut_out(source, mask, matte, progress, config, hinted)
    progress("Cropping", 0.8)
    box = _find_box(alpha, config.solid_alpha)
    side = max(config.photo_margin * max(box[2] - box[0], box[3] - box[1]), 2.0)
    crop = ((box[0] + box[2] - side) / 2, (box[1] + box[3] - side) / 2, side)
    rgb, cut = _resample(encoded, alpha, *crop, SIZE, is_opaque)
    if not (cut > 0.5).any():
        raise NearError("The photo shows no object: its mask is faint everywhere.",
                        "Choose another photo or paint a mask.")
    progress("Cropping", 1.0)
    fine = _encode(*_resample(encoded, alpha, *crop, FINE, is_opaque)) if side > FINE_FROM * SIZE else None
    return Photo(rgb, cut, crop, (alpha.shape[1], alpha.shape[0]), box, is_found, fine)


def cut_out(source: str | Path | np.ndarray, mask: str | Path | np.ndarray | None = None, matte: Matte | None = None,
            progress: Progress = silent, config: MattingConfig = MattingConfig(), hinted: bool = False
            ) -> tuple[np.ndarray, np.ndarray, bool, bool]:
    """What is object in a photo, arguments as in prepare: (H, W, 3) float32 sRGB and (H, W) float32 alpha 0..1; whether
    that had to be found, and whether the photo shows what is behind it, too."""
    progress("Reading the photo", 0.0)
    encoded, alpha = _read(source, config)
    progress("Finding the object", 0.4)
    if hinted and mask is not None:
        raise NearError("The photo's mask already says what is object.", "Leave out the hints or the mask.")
    is_opaque = alpha is None
    if mask is not None:
        alpha = _read_mask(mask, encoded.shape[:2], config)
    elif alpha is None:
        alpha = _find_object(encoded, matte, config)
    elif hinted and matte is not None:
        alpha = _resize(matte(_shrink(np.dstack([encoded, alpha]), config.longest_side)), alpha.shape)
    if not (alpha > 1 / 255).any():
        raise NearError("The photo shows no object: its mask is empty.", "Choose another photo or paint a mask.")
    return encoded, alpha, mask is None and is_opaque, is_opaque


def read_unmasked(source: str | Path | np.ndarray, config: MattingConfig = MattingConfig()) -> np.ndarray:
    """A photo as a matte that follows hints gets it: (H, W, 3) float32 sRGB 0..1, its longer side no longer than
    config.longest_side; (H, W, 4), where its alpha cuts something out."""
    encoded, alpha = _read(source, config)
    return _shrink(encoded if alpha is None else np.dstack([encoded, alpha]), config.longest_side)


def _shrink(encoded: np.ndarray, longest: int) -> np.ndarray:
    """A picture (H, W, C) whose longer side has so many pixels at most."""
    height, width = encoded.shape[:2]
    scale = min(1.0, longest / max(height, width))
    return _resize(encoded, (max(1, round(height * scale)), max(1, round(width * scale))))


def _read(source: str | Path | np.ndarray, config: MattingConfig) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W, 3) float32 sRGB, and (H, W) alpha or None where it cuts nothing out."""
    picture = source if isinstance(source, np.ndarray) else image.read_photo(source)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4) or 0 in picture.shape:
        raise NearError("The photo is not a picture with three or four channels.", "Save it as PNG or JPEG.")
    picture = picture.astype(np.float32) / 255
    alpha = picture[..., 3] if picture.shape[2] == 4 and cuts_out(picture[..., 3], config) else None
    return picture[..., :3], alpha


def cuts_out(alpha: np.ndarray, config: MattingConfig = MattingConfig()) -> bool:
    """Whether an alpha (H, W) 0..1 is a mask. It is none where the picture is opaque but for a few pixels, rounded
    corners or strips: what is opaque nearly fills a rectangle, most of the picture, that touches two edges or more."""
    if not alpha.max() > 0:
        return True
    left, top, right, bottom = (int(edge) for edge in _find_box(alpha, 0.5))
    solid = alpha[top:bottom, left:right] > 0.5 * alpha.max()
    edge = np.concatenate([solid[0], solid[-1], solid[:, 0], solid[:, -1]])
    touched = sum((left == 0, top == 0, right == alpha.shape[1], bottom == alpha.shape[0]))
    is_rectangle = solid.mean() > config.opaque_share and edge.mean() > config.opaque_edge
    return not (is_rectangle and touched >= 2 and solid.size > 0.5 * alpha.size)


def _read_mask(mask: str | Path | np.ndarray, shape: tuple[int, int], config: MattingConfig) -> np.ndarray:
    """(H, W) float32 of the photo's shape; a mask file's alpha where it has one, else its brightness."""
    if not isinstance(mask, np.ndarray):
        mask = image.read_photo(mask).astype(np.float32) / 255
        mask = mask[..., 3] if mask.shape[2] == 4 and cuts_out(mask[..., 3], config) else mask[..., :3].mean(2)
    if 0 in mask.shape or abs(mask.shape[0] / mask.shape[1] * shape[1] / shape[0] - 1) > 0.02:
        raise NearError("The mask is {width} x {height} pixels and does not fit the photo ({photo_width} x "
                        "{photo_height}).", "Export the mask at the photo's size.", width=mask.shape[1],
                        height=mask.shape[0], photo_width=shape[1], photo_height=shape[0])
    return np.clip(_resize(mask, shape), 0, 1)


def _find_object(encoded: np.ndarray, matte: Matte | None, config: MattingConfig) -> np.ndarray:
    """(H, W) float32 alpha by the network, or by the picture's own colours."""
    shape = encoded.shape[:2]
    find = matte or partial(remove_background, config=config)
    small = _shrink(encoded, config.longest_side if matte else config.background_side)
    if min(small.shape[:2]) < 8:
        raise NearError("The photo is too small to find an object in it.", "Use a larger photo, or one with alpha.")
    if np.ptp(small, (0, 1)).max() < config.least_contrast:
        raise NearError("The photo is of one colour all over.", "Choose one that shows an object.")
    alpha = np.clip(np.nan_to_num(find(small)), 0, 1).astype(np.float32)
    if not config.smallest_object < alpha.mean() < 0.98:
        raise NearError("No object was found in the photo.", "Cut it out with alpha, paint a mask, or choose a photo "
                        "whose background differs from the object.")
    return _resize(alpha, shape)


def _find_box(alpha: np.ndarray, solid_alpha: float) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 in pixels around what is solid."""
    solid = alpha > min(solid_alpha, 0.5 * float(alpha.max()))
    columns, rows = np.flatnonzero(solid.any(0)), np.flatnonzero(solid.any(1))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _resample(encoded: np.ndarray, alpha: np.ndarray, x: float, y: float, side: float, size: int, is_opaque: bool
              ) -> tuple[np.ndarray, np.ndarray]:
    """The square window as (size, size, 3) linear, not premultiplied, and (size, size) alpha; 0 outside the picture.
    is_opaque: what is behind the object is seen, too, and is taken out of the colours along its outline."""
    left, top = math.floor(x), math.floor(y)
    right, bottom = math.ceil(x + side), math.ceil(y + side)
    height, width = alpha.shape
    inside = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    window = np.dstack([encoded[inside], alpha[inside], np.ones_like(alpha[inside])])
    window = np.pad(window, ((max(-top, 0), max(bottom - height, 0)), (max(-left, 0), max(right - width, 0)), (0, 0)))
    # a coarse average before decoding: neighbours differ little, and a 12-megapixel photo would take a second
    step = max(1, int(side / (4 * size)))
    if step > 1:
        rows, columns = window.shape[0] // step * step, window.shape[1] // step * step
        window = window[:rows, :columns].reshape(rows // step, step, columns // step, step, -1).mean((1, 3))
    plain = image.srgb_decode(window[..., :3])
    window = np.concatenate([plain * window[..., 3:4], window[..., 3:], plain] if is_opaque else
                            [plain * window[..., 3:4], window[..., 3:4]], -1)
    frame = tuple(value / step for value in (x - left, y - top, x - left + side, y - top + side))
    small = np.maximum(_resize(window, (size, size), frame), 0)
    alpha = np.clip(small[..., 3], 0, 1)
    color = small[..., :3] / np.maximum(alpha[..., None], 1e-3)
    if is_opaque:
        shown = small[..., 4]
        color = np.where(alpha[..., None] > 0.05, color, small[..., 5:] / np.maximum(shown[..., None], 1e-3))
        color = clear_fringe(color, alpha, shown > 0.5)
    return np.where(alpha[..., None] > 1e-3, color, 0), alpha


def _encode(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(S, S, 4) uint8 of a crop."""
    values = np.concatenate([image.srgb_encode(np.clip(rgb, 0, 1)), alpha[..., None]], 2)
    return np.round(values * 255).astype(np.uint8)


def _resize(values: np.ndarray, shape: tuple[int, int], box: tuple[float, ...] | None = None) -> np.ndarray:
    """(h, w) or (h, w, C) float32 at another shape, antialiased. box: x0, y0, x1, y1, the part to take."""
    from PIL import Image
    if values.shape[:2] == shape and box is None:
        return values
    if box is not None:  # rounding may put it a hair outside
        box = tuple(min(max(b, 0), limit) for b, limit in zip(box, (values.shape[1], values.shape[0]) * 2))
    planes = [Image.fromarray(np.ascontiguousarray(p, np.float32)).resize(shape[::-1], Image.Resampling.BILINEAR, box)
              for p in np.moveaxis(np.atleast_3d(values), 2, 0)]
    result = np.stack([np.asarray(p) for p in planes], -1)
    return result if values.ndim == 3 else result[..., 0]


def rotate_onto(direction: np.ndarray) -> np.ndarray:
    """(3, 3): the smallest turn that takes +Z onto the unit vector (3,) with z > 0 (Rodrigues)."""
    x, y, z = direction
    return np.array([[1 - x * x / (1 + z), -x * y / (1 + z), x],
                     [-x * y / (1 + z), 1 - y * y / (1 + z), y],
                     [-x, -y, z]])
