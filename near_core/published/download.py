"""Files from the network: taken up where they broke off, checked against their hash, put in place whole."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import files
from ..errors import Message, NearError
from ..progress import Progress, silent

CHUNK = 1 << 18  # bytes between two reports
TRIES = 3  # in a row that bring nothing new
PATIENCE = 30.0  # seconds without an answer
SCHEMES = ("https://", "http://", "file://")


def fetch(url: str, path: Path, digest: str = "", size: int | None = None, progress: Progress = silent) -> Path:
    """Downloads to path by way of `path.part`, which a later call continues.

    digest: "sha256:…" or "git:…" (Git's blob hash), "" where nobody says it: then it has to come by https. size:
    bytes, None where unknown.
    progress gets bytes over size, or 0 where unknown; what it raises ends the download and keeps the part.
    Raises NearError when the source does not answer, breaks off for good, or its bytes are not the promised ones.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    files.make_folder(path.parent)
    _require_room(path, (size or 0) - _size(part))
    misses, longest = 0, _size(part)
    while not _continue(url, part, digest, size, progress, path.name):
        misses = 0 if _size(part) > longest else misses + 1
        longest = max(longest, _size(part))
        if misses == TRIES:
            raise NearError("The download of {file} broke off.", "Start it again; it goes on where it stopped.",
                            file=path.name)
        time.sleep(0.2 * misses)
    if not matches(part, digest, lambda phase, fraction: progress(Message("Checking {file}", file=path.name), 1.0)):
        part.unlink()
        raise NearError("{file} is not what its source promised: its hash differs.",
                        "Start the download again; if this stays, do not use the source.", file=path.name)
    os.replace(part, path)
    return path


def _continue(url: str, part: Path, digest: str, size: int | None, progress: Progress, name: str) -> bool:
    """One connection; whether everything is there afterwards."""
    have = _size(part)
    if size is not None and have == size:
        return True
    try:
        with _open(url, have, bool(digest)) as answer:
            at = have if answer.status == 206 else 0  # any other answer begins with the first byte
            total = size if size is not None else _length(answer, at)
            with _opening(part, "ab" if at else "wb") as keep:
                while chunk := answer.read(CHUNK):
                    keep(chunk)
                    at += len(chunk)
                    if size is not None and at > size:
                        raise NearError("{name} is longer than its source said.", "Start the download again.",
                                        name=name)
                    progress(Message("Downloading {file}", file=name), min(1.0, at / total) if total else 0.0)
        return total is None or at >= total
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # the file ends where the part does, or before
            part.unlink()
            if size is not None and have < size:
                raise NearError("{name} is shorter than its source said.", "Start the download again later.",
                                name=name) from error
            return False
        if error.code in (401, 403, 404, 410):
            raise NearError("The source does not hand out {name} (HTTP {code}).",
                            "Look at its page, or download by hand and choose Use Local Folder.", name=name,
                            code=error.code) from error
        return False
    except (OSError, http.client.HTTPException):  # broken off, or no connection: what came is kept
        return False


@contextmanager
def _opening(part: Path, mode: str) -> Iterator[Callable[[bytes], None]]:
    """Gives what writes into a part at once. Raises NearError where that cannot be done: no later try could."""
    def explain(error: OSError) -> NearError:
        return NearError("{file} could not be written ({reason}).", "Choose another folder.", file=part.name,
                         reason=error.strerror)

    def keep(chunk: bytes) -> None:
        try:
            while chunk:
                chunk = chunk[file.write(chunk):]
        except OSError as error:
            raise explain(error) from error

    try:
        file = open(part, mode, buffering=0)
    except OSError as error:
        raise explain(error) from error
    with file:
        yield keep


def read(url: str, limit: int = 16 << 20) -> bytes:
    """A small answer. Raises NearError where there is none."""
    try:
        with _open(url) as answer:
            data = answer.read(limit + 1)
    except (OSError, http.client.HTTPException) as error:
        raise NearError("The source could not be reached ({reason}).", "Check the network and start again.",
                        reason=getattr(error, "reason", error)) from error
    if len(data) > limit:
        raise NearError("The source's answer is too long.", "Check its address.")
    return data


def matches(path: Path, digest: str, progress: Progress = silent) -> bool:
    """Whether a file has the hash that fetch describes; "" always fits."""
    if not digest:
        return True
    kind, _, wanted = digest.partition(":")
    total = path.stat().st_size
    state = hashlib.sha256() if kind == "sha256" else hashlib.sha1(b"blob %d\0" % total, usedforsecurity=False)
    done = 0
    with open(path, "rb") as file:
        while chunk := file.read(4 * CHUNK):
            state.update(chunk)
            done += len(chunk)
            progress(Message("Checking {file}", file=path.name), done / total)
    return state.hexdigest() == wanted


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows only to where one may go at once."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _require_safe(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_safe(url: str) -> None:
    """Raises NearError for an address at which anybody on the way may answer, unless the user's HF_ENDPOINT is it."""
    own = os.environ.get("HF_ENDPOINT")
    if not url.startswith(("https://", own.rstrip("/") + "/" if own else "https://")):
        raise NearError("The source is not reached by https.", "Check its address.")


def _open(url: str, start: int = 0, described: bool = False):
    """described: its bytes are known by their hash, whoever hands them out."""
    if not url.startswith(SCHEMES):
        raise NearError("The address of the source is not one of the web.", "Check it.")
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=_context())]
    if not described:
        _require_safe(url)
        handlers.append(_Redirects())
    headers = {"User-Agent": "near-blender", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    return urllib.request.build_opener(*handlers).open(urllib.request.Request(url, headers=headers), timeout=PATIENCE)


def _context() -> ssl.SSLContext:
    """Certificates of the system, or certifi's where Python knows of none (Blender's own on some systems)."""
    context = ssl.create_default_context()
    if not context.get_ca_certs() and not os.path.exists(ssl.get_default_verify_paths().cafile or ""):
        try:
            import certifi
            context.load_verify_locations(certifi.where())
        except ImportError:
            pass
    return context


def _length(answer, already: int) -> int | None:
    length = answer.headers.get("Content-Length")
    return already + int(length) if length and length.isdigit() else None


def _size(path: Path) -> int:
    return path.stat().st_size if os.path.isfile(path) else 0


def _require_room(path: Path, needed: int) -> None:
    there = shutil.disk_usage(path.parent).free
    if needed > there:
        raise NearError("{file} needs {needed:.1f} GB, but only {there:.1f} GB of the disk are free.",
                        "Make room and start again.", file=path.name, needed=needed / 1e9, there=there / 1e9)
