"""Radiance .hdr files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files import Ending
from . import guard

MAX_HEADER = 2**20  # bytes
AXES = {b"-X", b"+X", b"-Y", b"+Y"}


def read_hdr(path: Path) -> np.ndarray:
    """The (H, W, 3) float32 linear picture of a Radiance file, row 0 on top; sources: Ward, "Real Pixels" (1991), and
    Radiance's colour files. Raises ValueError, EOFError and the like; for use under guard.explain_errors."""
    with Ending(path) as file:
        if file.size > MAX_HEADER + 8 * guard.MAX_PIXELS:  # what is not packed has four to a pixel
            raise ValueError("more than a picture's bytes")
        data = file.read()
    header, _, rest = data.partition(b"\n\n")
    if not header.startswith((b"#?RADIANCE", b"#?RGBE")) or b"FORMAT=32-bit_rle_xyze" in header:
        raise ValueError("not an RGBE picture")
    line, _, body = rest.partition(b"\n")
    (axis1, size1, axis2, size2) = line.split()
    if not (AXES >= {axis1, axis2} and axis1[1:] != axis2[1:]):
        raise ValueError("not a picture's orientation")
    rows, columns = int(size1), int(size2)
    guard.check_size(columns, rows, path)
    rgbe = _hdr_pixels(np.frombuffer(body, np.uint8), rows, columns)
    picture = np.ldexp(rgbe[..., :3].astype(np.float32), rgbe[..., 3:].astype(np.int32) - 136)  # as Blender reads it
    picture[rgbe[..., 3] == 0] = 0
    if axis1[1:] == b"X":  # columns of pixels one after the other
        picture, axis1, axis2 = picture.swapaxes(0, 1), axis2, axis1
    return np.ascontiguousarray(picture[::-1 if axis1 == b"+Y" else 1, ::-1 if axis2 == b"-X" else 1])


def _hdr_pixels(data: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The (rows, columns, 4) bytes R, G, B, exponent; scanlines run-length coded, or flat throughout."""
    flat = not 8 <= columns < 32768 or len(data) < 4 or tuple(data[:2]) != (2, 2) or data[2] & 128
    least = 4 * columns if flat else 4 + 2 * -(-4 * columns // 127)  # bytes of a row; two of a run, at best
    if len(data) < rows * least:
        raise EOFError("truncated")
    if flat:
        return data[:rows * least].reshape(rows, columns, 4)
    out = np.empty((rows, columns, 4), np.uint8)
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
