"""Material maps: decoding, mip levels in linear light, filtered lookups."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..errors import NearError
from ..image import srgb_decode, srgb_encode
from ..image.guard import DAMAGED, open_picture
from .mesh import BRIGHTEST

MAX_PIXELS = 16384 * 8192
LINEAR = srgb_decode(np.arange(256) / 255)  # of sRGB code values


def decode(data: bytes, what: str) -> np.ndarray:
    """An encoded picture as (h, w, 4) uint8. what: how messages name it. Raises NearError."""
    try:
        with open_picture(bytes(data), what) as picture:
            check_size(picture.width, picture.height, what)
            if picture.mode.startswith("I;16"):  # Pillow would clip, not scale
                grey = (np.asarray(picture).astype(np.float32) / 257 + 0.5).astype(np.uint8)
                return drop_alpha(np.repeat(grey[..., None], 4, 2))
            return np.asarray(picture.convert("RGBA"))
    except DAMAGED as error:
        raise NearError("{what} could not be decoded.", "Save it as PNG or JPEG.", what=what) from error


def check_size(width: int, height: int, what: str) -> None:
    """Raises NearError above MAX_PIXELS. width, height: pixels. what: how messages name the picture."""
    if width * height > MAX_PIXELS:
        raise NearError("{what} has {width} x {height} pixels.", "Scale it down to 8192 pixels or less.", what=what,
                        width=width, height=height)


def require_room(pictures: Iterable[np.ndarray], file: str) -> None:
    """Raises NearError where all pictures of a file together, or all maps made of them, are too large."""
    texels = sum(picture.size // 4 for picture in pictures)
    if texels > 4 * MAX_PIXELS:
        raise NearError("{file} has textures of {millions:.0f} million pixels in all.",
                        "Scale them down to 4096 pixels or less.", file=file, millions=texels / 1e6)


def drop_alpha(picture: np.ndarray) -> np.ndarray:
    """The picture (h, w, 4) uint8 with its alpha ignored."""
    if (picture[..., 3] == 255).all():
        return picture
    return np.dstack([picture[..., :3], np.full(picture.shape[:2], 255, np.uint8)])


def cut_alpha(picture: np.ndarray, cutoff: float) -> np.ndarray:
    """The picture (h, w, 4) uint8 with alpha 1 where it is at least `cutoff`, else 0."""
    return np.dstack([picture[..., :3], np.where(picture[..., 3] >= cutoff * 255, 255, 0).astype(np.uint8)])


def decode_color(picture: np.ndarray) -> np.ndarray:
    """(h, w, 4) uint8 sRGB -> (h, w, 4) float32 linear, premultiplied."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    return np.concatenate([LINEAR[picture[..., :3]] * alpha, alpha], -1)


def encode_light(radiance: np.ndarray) -> tuple[float, np.ndarray]:
    """Radiance (h, w, 3) as its greatest value, BRIGHTEST at most, and what that is multiplied with, (h, w, 4) uint8
    sRGB. What is no number or negative counts as 0."""
    sent = np.clip(np.nan_to_num(radiance), 0, BRIGHTEST)
    most = float(sent.max(initial=0))
    code = np.round(255 * srgb_encode(sent / max(most, 1e-30))).astype(np.uint8)
    return most, np.concatenate([code, np.full_like(code[..., :1], 255)], -1)


def halve(values: np.ndarray) -> np.ndarray:
    """(h, w, C) float32 at half its size, box filtered; an odd last row or column is averaged in, a size of 1 stays."""
    for axis in (0, 1):
        size = values.shape[axis]
        if size > 1:
            values = np.moveaxis(values, axis, 0)
            half = (values[0:size - size % 2:2] + values[1:size:2]) / 2
            if size % 2:
                half[-1] = half[-1] * (2 / 3) + values[-1] / 3
            values = np.moveaxis(half, 0, axis)
    return values


def build_pyramid(values: np.ndarray) -> list[np.ndarray]:
    """All mip levels of a map (h, w, C) float32, itself first."""
    levels = [values]
    while max(levels[-1].shape[:2]) > 1:
        levels.append(halve(levels[-1]))
    return levels


def sample(levels: list[np.ndarray], uv: np.ndarray, level: np.ndarray, wrap: tuple[str, str]) -> np.ndarray:
    """Filtered lookups: (K, C) float32, bilinear in the level nearest to the asked one.

    levels: of `build_pyramid`. uv: (K, 2) float32 as Mesh has it, V up. level: (K,) mip level, 0 is the full map; what
    is no number counts as that.
    """
    level = np.clip(np.rint(np.nan_to_num(level)), 0, len(levels) - 1).astype(np.int64)
    result = np.empty((len(uv), levels[0].shape[2]), np.float32)
    for step in np.unique(level):
        chosen = np.flatnonzero(level == step)
        result[chosen] = _bilinear(levels[step], uv[chosen], wrap)
    return result


def _bilinear(values: np.ndarray, uv: np.ndarray, wrap: tuple[str, str]) -> np.ndarray:
    height, width, _ = values.shape
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = (x - x0)[:, None].astype(np.float32), (y - y0)[:, None].astype(np.float32)
    left, right = _wrapped(x0, width, wrap[0]), _wrapped(x0 + 1, width, wrap[0])
    top, bottom = _wrapped(y0, height, wrap[1]) * width, _wrapped(y0 + 1, height, wrap[1]) * width
    flat = values.reshape(height * width, -1)
    upper = flat[top + left] * (1 - fx) + flat[top + right] * fx
    lower = flat[bottom + left] * (1 - fx) + flat[bottom + right] * fx
    return upper * (1 - fy) + lower * fy


def _wrapped(index: np.ndarray, size: int, mode: str) -> np.ndarray:
    """Texel numbers, (K,) whole floats, brought into 0..size-1."""
    if mode == "clamp":
        return np.clip(index, 0, size - 1).astype(np.int64)
    if mode == "mirror":
        index = np.mod(index, 2 * size)
        return np.minimum(index, 2 * size - 1 - index).astype(np.int64)
    return np.mod(index, size).astype(np.int64)
