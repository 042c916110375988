"""The file of a neural asset, `.near`: a safetensors container (docs/formats.md). What its tensors mean stands in
neural_asset.

The library that reads it trusts a header of up to 100 MB. So everything is measured here first: the file, the header
and the sizes it claims.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import NearError, to_unicode

FORMAT_VERSION = 2
MAX_BYTES = 512 * 2**20
MAX_HEADER = 2**20  # bytes
_TYPES = {"U8": 1, "I8": 1, "U16": 2, "I16": 2, "I32": 4, "F16": 2, "F32": 4}  # those that are read, and their bytes


def hash_bytes(data: bytes | memoryview) -> str:
    """Names the bytes of a `.near` file: 32 hexadecimal digits of their SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]


def pack(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file, the same for the same arguments on every machine."""
    with _explain_absence():
        from safetensors import numpy as safetensors
    data = safetensors.save({name: np.ascontiguousarray(values) for name, values in tensors.items()})
    length = int.from_bytes(data[:8], "little")
    # the library writes metadata in an order that differs from run to run, and assets go by the hash of their bytes; a
    # file's name may hold what is not Unicode
    known = {"format": "near", "format_version": str(FORMAT_VERSION), **metadata}
    known = {key: to_unicode(value) for key, value in sorted(known.items())}
    return _join({"__metadata__": known, **json.loads(data[8:8 + length])}, memoryview(data)[8 + length:])


def unpack(data: bytes | memoryview, what: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a file's bytes; every size is checked against the data before anything is allocated.

    what: how messages name the file. Raises NearError.
    """
    damaged = describe_damage(what)
    view = memoryview(data).cast("B")
    if not 8 <= len(view) <= MAX_BYTES:
        raise damaged
    length = int.from_bytes(view[:8], "little")
    if length > min(len(view) - 8, MAX_HEADER):
        raise damaged
    try:
        header = json.loads(bytes(view[8:8 + length]))
        metadata = header.pop("__metadata__")
        if metadata["format"] != "near":
            raise damaged
        if int(metadata["format_version"]) > FORMAT_VERSION:
            raise NearError("{what} was written by a newer NeAR.", "Update the add-on.", what=what)
        if sum(_count_bytes(entry) for entry in header.values()) != len(view) - 8 - length:
            raise damaged
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise damaged from error
    with _explain_absence():
        from safetensors import SafetensorError
        from safetensors import numpy as safetensors
    try:
        return safetensors.load(_join(header, view[8 + length:])), metadata  # it refuses metadata that are not Unicode
    except (SafetensorError, ValueError, TypeError, OverflowError) as error:
        raise damaged from error


def describe_damage(what: str) -> NearError:
    """The error of a file that is not what it should be."""
    return NearError("{what} is not a complete .near file.", "Choose a .near file, or export or create it again.",
                     what=what)


def _count_bytes(entry: dict[str, Any]) -> int:
    """What a tensor of the header takes. Raises KeyError, TypeError, ValueError."""
    count = _TYPES[entry["dtype"]]
    for side in entry["shape"]:
        if not 0 <= int(side) <= MAX_BYTES:
            raise ValueError(f"a side of {side}")
        count *= int(side)
    return count


def _join(header: Mapping[str, Any], tensors: memoryview) -> bytes:
    """A container of a header and the bytes of its tensors, which are aligned."""
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, tensors])


@contextmanager
def _explain_absence():
    """Says that the library is missing: a Python that somebody chose may lack it."""
    try:
        yield
    except ImportError as error:
        raise NearError("Neural assets need the Python package {package}.", "Install {package}.",
                        package=error.name) from error
