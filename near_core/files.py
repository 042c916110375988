"""Files that are written whole or not at all, files that end, and JSON that somebody wrote."""

from __future__ import annotations

import errno
import io
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import NearError

MAX_JSON = 64 * 2**20  # bytes
PATIENCE = 20  # times that Windows is asked again, 0.05 s after each other


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Gives the path of a file beside `path` to write to, and puts it in the place of `path` at the end.

    Whatever is raised meanwhile, `path` stays as it was and the file beside it goes. The folder must be there.
    Raises NearError in place of OSError and of RuntimeError, which OpenEXR and torch raise where a disk is full.
    """
    path = Path(path)
    # two processes may write the same file, and its name may be as long as names can be; where others may write, too, a
    # name that can be foreseen may be a link of theirs by then
    part = path.with_name(f"{secrets.token_hex(8)}.{os.getpid()}.part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield part
        _replace(part, path)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NearError("{file} could not be written ({reason}).", "Choose another folder.", file=path.name,
                        reason=reason) from error
    finally:
        with suppress(OSError):
            part.unlink()


def _replace(part: Path, path: Path) -> None:
    """os.replace. Windows refuses it as long as anybody reads either file, as what looks for viruses does with each new
    one for a moment."""
    for _ in range(PATIENCE if os.name == "nt" else 0):
        with suppress(PermissionError):
            return os.replace(part, path)
        time.sleep(0.05)
    os.replace(part, path)


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


def remove(path: str | Path) -> None:
    """Removes a file, or a folder with all that it holds, where there is one. Raises NearError."""
    path = Path(path)
    try:
        if path.is_symlink() or not os.path.isdir(path):
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(path)
    except OSError as error:
        raise NearError("{file} could not be removed ({reason}).", "Remove it by hand.", file=path.name,
                        reason=error.strerror) from error


class Ending(io.BufferedReader):
    """A file that is read up to the size that it has, whatever is asked of it. Raises OSError, also for a pipe, which
    would be waited for, and a device, which need not end."""

    def __init__(self, path: str | Path):
        kind = os.stat(path).st_mode
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, os.strerror(errno.EISDIR) if stat.S_ISDIR(kind) else "a pipe or a device")
        super().__init__(io.FileIO(path))
        self.size = os.fstat(self.fileno()).st_size
        try:
            self.peek(1)  # a drive that fails may call a file empty
        except OSError:
            self.close()
            raise

    def read(self, size: int | None = -1) -> bytes:
        """As much as is asked for and there is."""
        left = max(self.size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


def read(path: str | Path) -> bytes:
    """What a file holds. Raises OSError as `Ending`."""
    with Ending(path) as file:
        return file.read()


def read_json(path: Path, fix: str) -> Any:
    """What a JSON file holds. fix: what to do where it is none. Raises NearError."""
    try:
        with Ending(path) as file:
            if file.size > MAX_JSON:
                raise NearError("{file} is larger than {size:.0f} MB.", fix, file=path.name, size=MAX_JSON / 2**20)
            return json.loads(file.read().decode())
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
