"""Limits and plain errors around reading pictures."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import contextmanager
from pathlib import Path

from ..errors import NearError
from ..files import Ending

# no others: what is PostScript, Pillow hands to a program
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TGA", "TIFF")
MAX_PIXELS = 2**28  # 16,384 x 16,384; checked before anything is decoded
# pixels that a byte of these can hold at most: deflate makes 1,032 bytes of one, each of eight pixels; the others less
DENSEST, BOUNDED = 8 * 1032, ("PNG", "GIF", "BMP", "TGA")
# how often Pillow may ask for a piece of a file: whole ones come in pieces of kilobytes, crumbs take it for hours; the
# runs of a BMP come byte by byte, two for a pixel and for a row's end
MOST_READS = 2**18
# what libraries raise where a file is damaged
DAMAGED = (OSError, ValueError, TypeError, LookupError, RuntimeError, EOFError, SyntaxError, ArithmeticError,
           AttributeError, struct.error, zlib.error)


@contextmanager
def explain_errors(path: Path):
    """Turns what the libraries raise into the one sentence a person can act on."""
    try:
        yield
    except NearError:
        raise
    except MemoryError as error:
        raise NearError("{file} does not fit into memory.", "Scale it down.", file=path.name) from error
    except ImportError as error:
        raise NearError("{file} needs the Python package {package}.", "Install {package}.", file=path.name,
                        package=error.name) from error
    except DAMAGED as error:
        if isinstance(error, OSError) and error.strerror:
            raise NearError("{file} could not be read ({reason}).", "Check the path.", file=path.name,
                            reason=error.strerror) from error
        raise NearError("{file} is damaged or not what its name says.", "Save it again.", file=path.name) from error


def check_size(width: int, height: int, path: Path) -> None:
    """Raises NearError above MAX_PIXELS and ValueError below one pixel. width, height: pixels."""
    if width < 1 or height < 1:
        raise ValueError("empty picture")
    if width * height > MAX_PIXELS:
        raise NearError("{file} has {width} x {height} pixels, more than NeAR reads.", "Scale it down.", file=path.name,
                        width=width, height=height)


class _Pieces:
    """Beside a file: counts what is read of it. Raises ValueError above `most`."""

    reads, most = 0, MOST_READS

    def read(self, size: int | None = -1) -> bytes:
        """As the file does."""
        self.reads += 1
        if self.reads > self.most:
            raise ValueError("made of crumbs")
        return super().read(size)  # type: ignore[misc]


class _FilePieces(_Pieces, Ending):
    """A file on a drive."""


class _BytePieces(_Pieces, io.BytesIO):
    """One within another."""


@contextmanager
def open_picture(source: Path | bytes, what: str):
    """A file or its bytes as a Pillow picture that is not decoded yet. what: how messages name it. Raises what Pillow
    does, ValueError where it is too short for its pixels, and NearError where it is too large."""
    from PIL import Image

    with _BytePieces(source) if isinstance(source, bytes) else _FilePieces(source) as file:
        try:
            picture = Image.open(file, formats=FORMATS)
        except Image.DecompressionBombError as error:
            raise NearError("{what} has more pixels than NeAR reads.", "Scale it down.", what=what) from error
        with picture:
            size = len(source) if isinstance(source, bytes) else source.stat().st_size
            if picture.format in BOUNDED and picture.width * picture.height > DENSEST * size:
                raise ValueError("too short for its pixels")
            if picture.format == "BMP":
                file.most += 2 * (picture.width + 1) * picture.height
            yield picture
