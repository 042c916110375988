"""OpenEXR files: layers in and out."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import NearError
from ..files import Ending, writing
from .guard import check_size, explain_errors

# the channel names Blender gives the passes that are no colours
_CHANNELS = {1: "V", 2: "XY", 3: "RGB", 4: "RGBA"}
_NAMED_CHANNELS = {"Depth": "Z", "Normal": "XYZ", "Roughness": "X", "Metallic": "X", "Shadow": "X", "Confidence": "X"}
_ORDER = "RGBAXYZWUV"
ROWS = 16  # of a picture that are compressed together
MAX_VALUES = 2**31  # of all passes together
DENSEST = 2**16  # values that a byte can hold at most: of an even picture, some hundred bytes hold 4 million
_LARGEST_HALF = float(np.finfo(np.float16).max)


def read_layers(path: str | Path) -> dict[str, np.ndarray]:
    """Every pass of an .exr file, single- or multi-part: name -> (H, W, C) float32; the plain R, G, B, A are "".

    Channels come in the order R G B A, X Y Z W, or alone. Raises NearError like `read`.
    """
    path = Path(path)
    with explain_errors(path):
        return open_layers(path)


def open_layers(path: Path) -> dict[str, np.ndarray]:
    """As read_layers, but raises what OpenEXR raises; for use under guard.explain_errors."""
    import OpenEXR

    with Ending(path) as whole:
        name = _spell(path, whole)
        _check_header(OpenEXR.File(name, header_only=True), path, whole.size)
        return _read_parts(OpenEXR.File(name, separate_channels=True))


def _spell(path: Path, file: IO[bytes]) -> str:
    """What OpenEXR, which takes Unicode alone, opens an open file by."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return f"/dev/fd/{file.fileno()}"
    return str(path)


def _check_header(opened: Any, path: Path, size: int) -> None:
    """Raises NearError, or ValueError, where a file of `size` bytes says that it holds more than is read."""
    with opened as file:
        values = 0
        for part in file.parts:
            sizes = [_measure(part.header[window]) for window in ("dataWindow", "displayWindow")]
            for width, height in sizes:
                check_size(width, height, path)
            values += max(map(math.prod, sizes)) * len(part.header["channels"])
        if values > MAX_VALUES:
            raise NearError("The passes of {file} hold {millions:.0f} million values.", "Save fewer of them.",
                            file=path.name, millions=values / 1e6)
        if values > DENSEST * size:
            raise ValueError("too short for its pixels")


def _read_parts(opened: Any) -> dict[str, np.ndarray]:
    groups: dict[str, dict[str, np.ndarray]] = {}
    with opened as file:
        for part in file.parts:
            for name, channel in part.channels.items():
                layer, _, letter = name.rpartition(".")
                groups.setdefault(layer, {})[letter] = _in_display_window(channel.pixels, part.header)
    return {layer: _stacked(channels) for layer, channels in groups.items()}


def _measure(window: Any) -> tuple[int, int]:
    """Width and height of a window, given by its corners."""
    (x0, y0), (x1, y1) = window
    return int(x1) - int(x0) + 1, int(y1) - int(y0) + 1


def _in_display_window(pixels: np.ndarray, header: dict) -> np.ndarray:
    """A part of a picture at its place in the whole; most files hold the whole."""
    data, display = header["dataWindow"], header["displayWindow"]
    width, height = _measure(display)
    left, top = int(data[0][0]) - int(display[0][0]), int(data[0][1]) - int(display[0][1])
    if (left, top) == (0, 0) and pixels.shape == (height, width):
        return pixels
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


def choose_layer(layers: dict[str, np.ndarray], path: Path) -> np.ndarray:
    """The layer that is the picture itself, (H, W, 1 to 4): the plain channels, else Combined, else the first by name.

    path: named in the NearError where no layer is a colour.
    """
    combined = [name for name in layers if name.split(".")[-1] in ("Combined", "rgba", "RGBA")]
    for name in ["", *sorted(combined), *sorted(layers)]:
        if name in layers and layers[name].shape[2] <= 4:
            return layers[name]
    raise NearError("{file} has no colour layer.", "Save it with channels R, G, B.", file=path.name)


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
            values = picture[..., i]
            if dtype is np.float16:
                values = np.clip(values, -_LARGEST_HALF, _LARGEST_HALF)
            channels[letter if plain else f"{layer}.{name}.{letter}"] = np.ascontiguousarray(values, dtype)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with writing(path) as part, part.open("r+b") as file:
        OpenEXR.File(header, channels).write(_spell(part, file))
        if not _is_whole(file, len(picture)):
            raise RuntimeError("it was cut short")


def _is_whole(file: IO[bytes], rows: int) -> bool:
    """Whether a file that OpenEXR wrote ends where its last rows do. What fails when it closes a file, it does not
    tell."""
    try:
        file.seek(8)
        while _read_word(file):  # an attribute: its name, its kind, its length
            _read_word(file)
            file.seek(struct.unpack("<i", file.read(4))[0], os.SEEK_CUR)
        file.seek(8 * ((rows - 1) // ROWS), os.SEEK_CUR)  # where each block of rows begins
        (last,) = struct.unpack("<Q", file.read(8))
        file.seek(last)
        return last + 8 + struct.unpack("<ii", file.read(8))[1] == file.seek(0, os.SEEK_END)
    except struct.error:
        return False


def _read_word(file: IO[bytes]) -> bytes:
    return b"".join(iter(lambda: file.read(1).strip(b"\0"), b""))
