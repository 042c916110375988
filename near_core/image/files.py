"""Picture files: OpenEXR, Radiance HDR, PNG, JPEG, WebP and AVIF in; OpenEXR and PNG out."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np

from ..errors import NearError
from ..files import writing
from .color import srgb_decode, srgb_encode
from .exif import ORIENTATION
from .exr import choose_layer, open_layers
from .guard import check_size, explain_errors, open_picture
from .hdr import read_hdr

CONVERTED = (".heic", ".heif")  # what phones write; HEVC is patented, so Pillow does not read it
# Pillow warns of large photos on the person's screen; check_size says which are too large
warnings.filterwarnings("ignore", message="Image size .* could be decompression bomb")
LINEAR = (".exr", ".hdr")  # what these hold; the others sRGB
BAND = 2**16  # values of a picture that are floats at once
READABLE = (*LINEAR, ".png", ".jpg", ".jpeg", ".webp", ".avif")


def list_photos(folder: Path) -> list[Path]:
    """The pictures of a folder by name, with those that `read` tells to convert, but none that are hidden. Raises
    NearError where it has none or cannot be read."""
    try:
        found = sorted(path for path in folder.iterdir()
                       if path.suffix.lower() in READABLE + CONVERTED and not path.name.startswith("."))
    except OSError as error:
        raise NearError("{folder} could not be read ({reason}).", "Choose another folder.", folder=folder.name,
                        reason=error.strerror) from error
    if not found:
        raise NearError("There is no photo in {folder}.", "Choose a folder with {choices} files.",
                        folder=folder.name or folder, choices=", ".join(sorted(READABLE)))
    return found


def read(path: str | Path, linear: bool = True, max_side: int | None = None) -> np.ndarray:
    """A picture as (H, W, C) float32, row 0 at the top, C = 1..4 (mostly 3 or 4); alpha as the file keeps it.

    .exr and .hdr hold linear values, with premultiplied alpha; a multilayer .exr gives its Combined pass. .png and .jpg
    hold sRGB with straight alpha: `linear` decodes their colours (never alpha), without it they come as stored, 0..1.
    max_side: pixels; a picture with a longer side is averaged down by a whole number until it fits.
    Raises NearError where the file is missing, damaged, too large or of another kind.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind in CONVERTED:
        raise NearError("{file} is a {kind} picture, which NeAR does not read.",
                        "Save it as JPEG or PNG; phones and photo programs call it exporting or sharing.",
                        file=path.name, kind=kind[1:].upper())
    if kind not in READABLE:
        raise NearError("{file} is not a picture NeAR can read.", "Use one of {choices}.", file=path.name,
                        choices=", ".join(READABLE))
    with explain_errors(path):
        if kind == ".exr":
            return _averaged(choose_layer(open_layers(path), path), max_side)
        if kind == ".hdr":
            return _averaged(read_hdr(path), max_side)
        return _averaged(_read_pillow(path), max_side, decode=linear)


def read_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels of a picture, upright. Raises NearError like `read`."""
    path = Path(path)
    if path.suffix.lower() in (*LINEAR, *CONVERTED) or path.suffix.lower() not in READABLE:
        height, width = read(path).shape[:2]
        return width, height
    with explain_errors(path), open_picture(path, path.name) as file:
        check_size(file.width, file.height, path)
        stands = file.getexif().get(ORIENTATION, 1) < 5
        return (file.width, file.height) if stands else (file.height, file.width)


def read_photo(path: str | Path) -> np.ndarray:
    """A photo as (H, W, 3 or 4) uint8, sRGB, straight alpha, averaged down to 2048 pixels a side.

    An .exr or .hdr is clipped to 0..1 and encoded. Raises NearError like `read`.
    """
    picture = read(path, max_side=2048)
    if picture.shape[2] < 3:
        picture = np.repeat(picture[..., :1], 3, axis=2)
    color, alpha = picture[..., :3], picture[..., 3:]
    if alpha.shape[2] and Path(path).suffix.lower() == ".exr":
        color = color / np.maximum(alpha, 1e-6) * (alpha > 0)
    encoded = np.concatenate([srgb_encode(np.nan_to_num(color)), np.clip(np.nan_to_num(alpha), 0, 1)], -1)
    return np.round(encoded * 255).astype(np.uint8)


def _averaged(picture: np.ndarray, max_side: int | None, decode: bool = False) -> np.ndarray:
    """float32 0..1 (or radiance) of a picture of any type, box-filtered by a whole number; decode: from sRGB."""
    scale = 1.0 / np.iinfo(picture.dtype).max if picture.dtype.kind == "u" else 1.0
    height, width, channels = picture.shape
    step = 1 if max_side is None else -(-max(height, width) // max_side)
    columns, rows = min(step, width), min(step, height)
    out = np.empty((height // rows, width // columns, channels), np.float32)
    colors = channels - (channels in (2, 4))
    table = srgb_decode(np.arange(256, dtype=np.float32) / 255) if decode and picture.dtype == np.uint8 else None
    many = max(1, BAND // (rows * width * channels))  # rows of out
    for i in range(0, len(out), many):  # a band at a time: the float copy of a huge picture never exists
        stored = picture[i * rows:min(i + many, len(out)) * rows, :out.shape[1] * columns]
        band = stored.astype(np.float32) * np.float32(scale)
        if decode:
            band[..., :colors] = srgb_decode(band[..., :colors]) if table is None else table[stored[..., :colors]]
        # numpy adds whole rows quickly, a few neighbours each slowly
        sums = band.reshape(-1, rows, out.shape[1] * columns * channels).sum(1)
        sums = sums.reshape(-1, out.shape[1], columns, channels)
        out[i:i + many] = sum((sums[:, :, k] for k in range(1, columns)), sums[:, :, 0]) / (rows * columns)
    return out


def _read_pillow(path: Path) -> np.ndarray:
    """(H, W, C) uint8 or uint16 sRGB, turned upright by its EXIF orientation."""
    from PIL import ImageOps

    with open_picture(path, path.name) as file:
        check_size(file.width, file.height, path)
        picture = ImageOps.exif_transpose(file)
        deep = picture.mode.startswith("I")  # grey of 16 bits, all of which count
        if not deep and (picture.mode in ("P", "PA") or "transparency" in picture.info):
            picture = picture.convert("RGBA")
        picture = picture if deep else _converted(picture)
        values = np.asarray(picture)
    if values.dtype not in (np.uint8, np.uint16):
        values = np.clip(values, 0, 65535).astype(np.uint16)
    if values.ndim == 2:
        values = values[..., None]
        if deep and isinstance(clear := picture.info.get("transparency"), int):
            values = np.concatenate([values, np.where(values == clear, 0, 65535).astype(np.uint16)], -1)
    if values.shape[2] == 2:  # grey with alpha
        values = values[..., [0, 0, 0, 1]]
    return values


def _converted(picture):
    """A Pillow picture of 8 bits in L, LA, RGB or RGBA, and in sRGB where it says by a profile what else it is in."""
    from PIL import ImageCms

    profile = picture.info.get("icc_profile", b"")
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    plain = picture.mode if picture.mode in ("L", "RGB", "CMYK") else {"LA": "L"}.get(picture.mode, "RGB")
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" not in ImageCms.getProfileDescription(given):
            ours = ImageCms.createProfile("sRGB")
            colors = ImageCms.profileToProfile(picture.convert(plain), given, ours, outputMode="RGB")
            if alpha is not None:
                colors.putalpha(alpha)
            return colors
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # none, damaged, or of another colour model
        pass
    return picture if picture.mode in ("L", "LA", "RGB", "RGBA") else picture.convert("RGB")


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """Writes a linear premultiplied picture (H, W, 1, 3 or 4), whole or not at all: 8-bit sRGB with straight alpha."""
    from PIL import Image

    color, alpha = picture[..., :3], picture[..., 3:]
    if alpha.shape[2]:
        color = color / np.maximum(alpha, 1e-6) * (alpha > 0)
    encoded = np.concatenate([srgb_encode(np.nan_to_num(color)), np.clip(alpha, 0, 1)], -1)
    values = np.round(encoded * 255).astype(np.uint8)
    with writing(path) as part:
        Image.fromarray(values[..., 0] if values.shape[2] == 1 else values).save(part, format="PNG")
