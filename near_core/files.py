"""Files that are written whole or not at all, and JSON that somebody wrote."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import NearError


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Gives the path of a file beside `path` to write to, and puts it in the place of `path` at the end.

    Whatever is raised meanwhile, `path` stays as it was and the file beside it goes. The folder must be there.
    Raises NearError in place of OSError and of RuntimeError, which OpenEXR and torch raise where a disk is full.
    """
    path = Path(path)
    # two processes may write the same file, and its name may be as long as names can be
    part = path.with_name(f"{zlib.crc32(os.fsencode(path.name)):08x}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NearError("{file} could not be written ({reason}).", "Choose another folder.", file=path.name,
                        reason=reason) from error
    finally:
        with suppress(OSError):
            part.unlink()


def write(path: str | Path, data: bytes | str) -> None:
    """Writes bytes, or text as UTF-8, whole or not at all. Raises NearError as `writing`."""
    with writing(path) as part:
        part.write_bytes(data.encode() if isinstance(data, str) else data)


def make_folder(path: str | Path) -> None:
    """Makes a folder, and those that it lies in, unless it is there. Raises NearError."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NearError("{file} could not be written ({reason}).", "Choose another folder.", file=Path(path).name,
                        reason=error.strerror) from error


def read_json(path: Path, fix: str) -> Any:
    """What a JSON file holds. fix: what to do where it is none. Raises NearError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NearError("{file} could not be read ({reason}).", "Check the path.", file=path.name,
                        reason=error.strerror) from error
    except (ValueError, RecursionError) as error:  # brackets in a thousand brackets are no file of ours
        raise NearError("{file} is not valid JSON.", fix, file=path.name) from error


@contextmanager
def expecting(path: Path, fix: str) -> Iterator[None]:
    """Around what uses a JSON file as one of ours. Raises NearError where it has another form. fix: what to do then."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise NearError("{file} holds something else than was expected ({reason}).", fix, file=path.name,
                        reason=f"{type(error).__name__}: {error}") from error
