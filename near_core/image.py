"""Picture files: OpenEXR, Radiance HDR, PNG and JPEG in; OpenEXR and PNG out."""

from __future__ import annotations

import math
import os
import struct
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .errors import NearError

MAX_PIXELS = 2**28  # 16,384 x 16,384; checked before anything is decoded
READABLE = (".exr", ".hdr", ".png", ".jpg", ".jpeg", ".webp")
# the channel names Blender gives the passes that are no colours
_CHANNELS = {1: "V", 2: "XY", 3: "RGB", 4: "RGBA"}
_NAMED_CHANNELS = {"Depth": "Z", "Normal": "XYZ", "Roughness": "X", "Metallic": "X", "Shadow": "X", "Confidence": "X"}
_ORDER = "RGBAXYZWUV"


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    """The sRGB transfer function (IEC 61966-2-1) of values clipped to 0..1. float32, same shape."""
    x = np.clip(linear, 0, 1).astype(np.float32)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055).astype(np.float32)


def srgb_decode(encoded: np.ndarray) -> np.ndarray:
    """The inverse of srgb_encode for values 0..1. float32, same shape."""
    x = np.asarray(encoded, np.float32)
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def premultiplied(straight: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3 or 4) with straight alpha -> (H, W, 4) float32 with premultiplied alpha."""
    if straight.shape[2] == 3:
        return np.concatenate([straight, np.ones_like(straight[..., :1])], 2)
    return np.concatenate([straight[..., :3] * straight[..., 3:], straight[..., 3:]], 2)


def read(path: str | Path, linear: bool = True, max_side: int | None = None) -> np.ndarray:
    """A picture as (H, W, C) float32, row 0 at the top, C = 1..4 (mostly 3 or 4); alpha as the file keeps it.

    .exr and .hdr hold linear values, with premultiplied alpha. .png and .jpg hold sRGB with straight alpha: `linear`
    decodes their colours (never alpha), without it they come as stored, 0..1. A multilayer .exr gives its Combined pass.
    max_side: pixels; a picture with a longer side is averaged down by a whole number until it fits.
    Raises NearError where the file is missing, damaged, too large or of another kind.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in READABLE:
        raise NearError(f"{path.name} is not a picture NeAR can read.", f"Use one of {', '.join(READABLE)}.")
    with _reading(path):
        if kind == ".exr":
            return _averaged(_main_layer(_read_layers(path), path), max_side)
        if kind == ".hdr":
            return _averaged(_read_hdr(path), max_side)
        return _averaged(_read_pillow(path), max_side, decode=linear)


def read_photo(path: str | Path, max_side: int = 2048) -> np.ndarray:
    """A photo as (H, W, 3 or 4) uint8, sRGB, straight alpha, averaged down to max_side. Raises NearError like `read`.

    An .exr or .hdr is clipped to 0..1 and encoded.
    """
    picture = read(path, max_side=max_side)
    if picture.shape[2] < 3:
        picture = np.repeat(picture[..., :1], 3, axis=2)
    color, alpha = picture[..., :3], picture[..., 3:]
    if alpha.shape[2] and Path(path).suffix.lower() == ".exr":
        color = color / np.maximum(alpha, 1e-6) * (alpha > 0)
    encoded = np.concatenate([srgb_encode(np.nan_to_num(color)), np.clip(np.nan_to_num(alpha), 0, 1)], -1)
    return np.round(encoded * 255).astype(np.uint8)


def read_layers(path: str | Path) -> dict[str, np.ndarray]:
    """Every pass of an .exr file, single- or multi-part: name -> (H, W, C) float32; the plain R, G, B, A are "".

    Channels come in the order R G B A, X Y Z W, or alone. Raises NearError like `read`.
    """
    path = Path(path)
    with _reading(path):
        return _read_layers(path)


@contextmanager
def _reading(path: Path):
    """Turns what the libraries raise into the one sentence a person can act on."""
    try:
        yield
    except NearError:
        raise
    except MemoryError as error:
        raise NearError(f"{path.name} does not fit into memory.", "Scale it down.") from error
    except ImportError as error:
        raise NearError(f"{path.name} needs the Python package {error.name}.", f"Install {error.name}.") from error
    except OSError as error:
        if error.strerror:
            raise NearError(f"{path.name} could not be read ({error.strerror}).", "Check the path.") from error
        raise NearError(f"{path.name} is damaged or not what its name says.", "Save it again.") from error
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError, EOFError, SyntaxError, struct.error,
            zlib.error) as error:
        raise NearError(f"{path.name} is damaged or not what its name says.", "Save it again.") from error


def _check_size(width: int, height: int, path: Path) -> None:
    if width < 1 or height < 1:
        raise ValueError("empty picture")
    if width * height > MAX_PIXELS:
        raise NearError(f"{path.name} has {width} x {height} pixels, more than NeAR reads.", "Scale it down.")


def _averaged(picture: np.ndarray, max_side: int | None, decode: bool = False) -> np.ndarray:
    """float32 0..1 (or radiance) of a picture of any type, box-filtered by a whole number; decode: from sRGB."""
    scale = 1.0 / np.iinfo(picture.dtype).max if picture.dtype.kind == "u" else 1.0
    height, width, channels = picture.shape
    step = 1 if max_side is None else -(-max(height, width) // max_side)
    columns, rows = min(step, width), min(step, height)
    out = np.empty((height // rows, width // columns, channels), np.float32)
    colors = channels - (channels in (2, 4))
    table = srgb_decode(np.arange(256) / 255) if decode and picture.dtype == np.uint8 else None
    for i in range(out.shape[0]):  # a band at a time: the float copy of a huge picture never exists
        stored = picture[i * rows:(i + 1) * rows, :out.shape[1] * columns]
        band = stored.astype(np.float32) * np.float32(scale)
        if decode:
            band[..., :colors] = srgb_decode(band[..., :colors]) if table is None else table[stored[..., :colors]]
        # numpy adds whole rows quickly, a few neighbours each slowly
        sums = sum(band[1:], band[0]).reshape(-1, columns, channels)
        out[i] = sum((sums[:, k] for k in range(1, columns)), sums[:, 0]) / (rows * columns)
    return out


# --- OpenEXR

def _read_layers(path: Path) -> dict[str, np.ndarray]:
    import OpenEXR

    if not path.is_file():
        raise FileNotFoundError(2, "No such file")
    with OpenEXR.File(str(path), header_only=True) as file:
        for part in file.parts:
            (x0, y0), (x1, y1) = part.header["dataWindow"]
            _check_size(int(x1) - int(x0) + 1, int(y1) - int(y0) + 1, path)
    groups: dict[str, dict[str, np.ndarray]] = {}
    with OpenEXR.File(str(path), separate_channels=True) as file:
        for part in file.parts:
            for name, channel in part.channels.items():
                layer, _, letter = name.rpartition(".")
                groups.setdefault(layer, {})[letter] = _in_display_window(channel.pixels, part.header, path)
    return {layer: _stacked(channels) for layer, channels in groups.items()}


def _in_display_window(pixels: np.ndarray, header: dict, path: Path) -> np.ndarray:
    """A part of a picture at its place in the whole; most files hold the whole."""
    data, display = header["dataWindow"], header["displayWindow"]
    (x0, y0), (x1, y1) = np.asarray(display[0], int), np.asarray(display[1], int)
    width, height = int(x1 - x0 + 1), int(y1 - y0 + 1)
    left, top = int(data[0][0]) - int(x0), int(data[0][1]) - int(y0)
    if (left, top) == (0, 0) and pixels.shape == (height, width):
        return pixels
    _check_size(width, height, path)
    whole = np.zeros((height, width), pixels.dtype)
    rows, columns = slice(max(top, 0), min(top + pixels.shape[0], height)), \
        slice(max(left, 0), min(left + pixels.shape[1], width))
    whole[rows, columns] = pixels[rows.start - top:rows.stop - top, columns.start - left:columns.stop - left]
    return whole


def _stacked(channels: dict[str, np.ndarray]) -> np.ndarray:
    letters = sorted(channels, key=lambda c: (_ORDER.find(c) if len(c) == 1 and c in _ORDER else len(_ORDER), c))
    if set("RGB") <= set(letters):
        letters = [c for c in "RGBA" if c in letters]
    return np.stack([channels[c].astype(np.float32) for c in letters], -1)


def _main_layer(layers: dict[str, np.ndarray], path: Path) -> np.ndarray:
    combined = [name for name in layers if name.split(".")[-1] in ("Combined", "rgba", "RGBA")]
    for name in ["", *sorted(combined), *sorted(layers)]:
        if name in layers and layers[name].shape[2] <= 4:
            return layers[name]
    raise NearError(f"{path.name} has no colour layer.", "Save it with channels R, G, B.")


def write_exr(path: str | Path, passes: dict[str, np.ndarray], half: bool = False, layer: str = "ViewLayer") -> None:
    """Writes passes, name -> (H, W, C), all of one size, whole or not at all.

    Combined alone becomes a plain picture with channels R, G, B, A; several passes become one multilayer part named
    as Blender names them (`ViewLayer.Depth.Z`). half: colours as 16-bit floats; Depth and Normal stay 32-bit.
    """
    import OpenEXR

    plain = list(passes) == ["Combined"]
    channels = {}
    for name, picture in passes.items():
        letters = _NAMED_CHANNELS.get(name, _CHANNELS[picture.shape[2]])
        dtype = np.float16 if half and name not in ("Depth", "Normal") else np.float32
        for i, letter in enumerate(letters):
            values = np.clip(picture[..., i], -65504, 65504) if dtype is np.float16 else picture[..., i]
            channels[letter if plain else f"{layer}.{name}.{letter}"] = np.ascontiguousarray(values, dtype)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with _writing(path) as part:
        OpenEXR.File(header, channels).write(str(part))


# --- Radiance HDR (Ward, "Real Pixels", Graphics Gems II)

def _read_hdr(path: Path) -> np.ndarray:
    data = path.read_bytes()
    header, _, rest = data.partition(b"\n\n")
    if not header.startswith((b"#?RADIANCE", b"#?RGBE")) or b"FORMAT=32-bit_rle_xyze" in header:
        raise ValueError("not an RGBE picture")
    line, _, body = rest.partition(b"\n")
    (axis1, size1, axis2, size2) = line.split()
    rows, columns = int(size1), int(size2)
    _check_size(columns, rows, path)
    rgbe = _hdr_pixels(np.frombuffer(body, np.uint8), rows, columns)
    picture = np.ldexp(rgbe[..., :3].astype(np.float32), rgbe[..., 3:].astype(np.int32) - 136)  # as Blender reads it
    picture[rgbe[..., 3] == 0] = 0
    if axis1[1:] == b"X":  # columns of pixels one after the other
        picture, axis1, axis2 = picture.swapaxes(0, 1), axis2, axis1
    return np.ascontiguousarray(picture[::-1 if axis1 == b"+Y" else 1, ::-1 if axis2 == b"-X" else 1])


def _hdr_pixels(data: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The (rows, columns, 4) bytes R, G, B, exponent; scanlines run-length coded, or flat throughout."""
    out = np.empty((rows, columns, 4), np.uint8)
    if not 8 <= columns < 32768 or len(data) < 4 or tuple(data[:2]) != (2, 2) or data[2] & 128:
        if len(data) < out.size:
            raise EOFError("truncated")
        out[:] = data[:out.size].reshape(out.shape)
        return out
    raw, at = data.tobytes(), 0
    for row in range(rows):
        if raw[at:at + 2] != b"\2\2" or int.from_bytes(raw[at + 2:at + 4], "big") != columns:
            raise ValueError("scanline")
        line, at = bytearray(), at + 4
        while len(line) < 4 * columns:
            count = raw[at]
            if count > 128:
                line += raw[at + 1:at + 2] * (count - 128)
                at += 2
            else:
                line += raw[at + 1:at + 1 + count]
                at += 1 + count
            if at > len(raw) or count == 0:
                raise EOFError("truncated")
        out[row] = np.frombuffer(line, np.uint8).reshape(4, columns).T
    return out


# --- PNG and JPEG

def _read_pillow(path: Path) -> np.ndarray:
    """(H, W, C) uint8 or uint16 as stored, turned upright by its EXIF orientation."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            _check_size(file.width, file.height, path)
            picture = ImageOps.exif_transpose(file)
            if picture.mode in ("P", "PA") or "transparency" in picture.info:
                picture = picture.convert("RGBA")
            elif picture.mode not in ("L", "LA", "RGB", "RGBA") and not picture.mode.startswith("I"):
                picture = picture.convert("RGB")
            values = np.asarray(picture)
    except Image.DecompressionBombError as error:
        raise NearError(f"{path.name} has more pixels than NeAR reads.", "Scale it down.") from error
    if values.dtype not in (np.uint8, np.uint16):
        values = np.clip(values, 0, 65535).astype(np.uint16)
    if values.ndim == 2:
        values = values[..., None]
    if values.shape[2] == 2:  # grey with alpha
        values = values[..., [0, 0, 0, 1]]
    return values


# EXIF 2.32: where the fields stand, and inches or centimetres per unit of the focal plane's resolution
_EXIF, _FOCAL_LENGTH, _FOCAL_LENGTH_35, _PLANE_X, _PLANE_UNIT = 0x8769, 37386, 41989, 41486, 41488
_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0}
_FILM_DIAGONAL = math.hypot(36, 24)  # mm; what makes focal lengths equivalent (CIPA DCG-001)


def field_of_view(path: str | Path) -> float | None:
    """The horizontal angle, degrees, that an upright photo covers, by the focal length that its camera noted; None where
    the file doesn't say, or says what can't be. Of a photo that was cut smaller it is the camera's, which is too wide."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            exif, (width, height) = file.getexif(), file.size
            noted = exif.get_ifd(_EXIF)
            if exif.get(0x0112, 1) >= 5:  # stored on its side
                width, height = height, width
            if focal := float(noted.get(_FOCAL_LENGTH_35, 0)):
                pixels = focal / _FILM_DIAGONAL * math.hypot(width, height)
            else:
                unit = _MILLIMETRES.get(noted.get(_PLANE_UNIT, 2), 25.4)
                stored = max(noted.get(40962, file.size[0]), noted.get(40963, file.size[1]))  # before it was scaled
                pixels = (float(noted.get(_FOCAL_LENGTH, 0)) * float(noted.get(_PLANE_X, 0)) / unit
                          * max(file.size) / max(stored, 1))
            fov = math.degrees(2 * math.atan(width / 2 / pixels)) if pixels > 0 else 0.0
    except (OSError, ValueError, TypeError, ZeroDivisionError, SyntaxError, OverflowError, struct.error,
            Image.DecompressionBombError):
        return None
    return fov if 1 < fov < 150 else None


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """Writes a linear premultiplied picture (H, W, 1, 3 or 4), whole or not at all: 8-bit sRGB with straight alpha."""
    from PIL import Image

    color, alpha = picture[..., :3], picture[..., 3:]
    if alpha.shape[2]:
        color = color / np.maximum(alpha, 1e-6) * (alpha > 0)
    encoded = np.concatenate([srgb_encode(np.nan_to_num(color)), np.clip(alpha, 0, 1)], -1)
    values = np.round(encoded * 255).astype(np.uint8)
    with _writing(path) as part:
        Image.fromarray(values[..., 0] if values.shape[2] == 1 else values).save(part, format="PNG")


@contextmanager
def _writing(path: str | Path):
    """Gives a path beside `path` to write to and moves it there at the end; nothing half-written stays."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NearError(f"{path.name} could not be written ({reason}).", "Choose another folder.") from error
    finally:
        part.unlink(missing_ok=True)
