"""Messages between Blender and the worker: JSON over a pipe, arrays through a memory-mapped file per direction.

A frame on the pipe is a little-endian uint32 length and that many bytes of JSON. An array in a message lies in the
sender's file and the JSON names its dtype, shape and offset; the receiver copies it out at once and says so, which
frees the file for the next message. Nothing is pickled: what may arrive is listed in TYPES.
"""

from __future__ import annotations

import json
import math
import mmap
import operator
import os
import re
import struct
import threading
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from ..asset.deformation import Deformation
from ..create.hints import Hints
from ..create.shot import Shot
from ..create.stance import Stance
from ..errors import Message, NearError
from ..mesh import Material, Mesh
from ..scene import AssetLook, Camera, Lamp, Lens, Occluders, Probe, Settings, Shutter

TYPES = {kind.__name__: kind for kind in (
    Camera, Settings, Lamp, AssetLook, Shutter, Lens, Probe, Occluders, Deformation, Mesh, Material, Shot, Hints,
    Stance)}
START = b"\nNEAR\n"  # the child's first bytes; what a library printed before them is no message
MAX_MESSAGE = 64 * 2**20  # bytes of JSON
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, SyntaxError,
             NearError)
MAX_SPARE = 256 * 2**20  # bytes that an array file may be larger than what lies in it
_ALIGN = 64  # bytes
_WIDE = re.compile(r"\{[^{}:]*:[^{}]*(\{|\d{3})")  # a field of a template that is padded to any width


def read_until_start(stream: BinaryIO) -> bytes:
    """What a child printed before it said START, or before it died."""
    said = bytearray()
    while not said.endswith(START) and (byte := stream.read(1)):
        said += byte
    return bytes(said.removesuffix(START))


class Sink(Protocol):
    """What takes bytes, as a pipe does."""

    def write(self, data: bytes, /) -> Any: ...

    def flush(self) -> Any: ...


class Channel:
    """One end of the conversation. send may be called from any thread, receive from one.

    read, write: the pipe's ends. incoming, outgoing: paths of the two array files; each is written by one side only.
    """

    def __init__(self, read: BinaryIO, write: Sink, incoming: Path, outgoing: Path):
        self._read, self._write, self._incoming = read, write, incoming
        self._lock = threading.Lock()
        self._out = ArrayFile(outgoing)

    def send(self, message: dict[str, Any]) -> None:
        """Sends a tree of dicts, lists, tuples, strings, messages, numbers, arrays, bytes and TYPES. Raises OSError
        when cut, and NearError where there is no space for its arrays."""
        with self._lock:
            arrays: list[np.ndarray] = []
            tree = _pack(message, arrays)
            offsets = self._out.put(arrays)
            self._frame({"message": tree, "offsets": offsets})

    def receive(self) -> dict[str, Any] | None:
        """The next message, its arrays copied; None when the other side is gone. Raises OSError and ValueError for
        what is no message."""
        while True:
            head = self._read.read(4)
            if len(head) < 4:
                return None
            (length,) = struct.unpack("<I", head)
            if not 0 < length <= MAX_MESSAGE:
                raise ValueError(f"a message of {length} bytes")
            text = self._read.read(length)
            if len(text) < length:
                return None
            try:
                message = self._open(json.loads(text))
            except MALFORMED as error:
                raise ValueError(f"no message: {error!r}") from error
            if message is not None:
                return message

    def _open(self, frame: dict) -> dict[str, Any] | None:
        """A frame's message; None where it only says that arrays were taken."""
        if "taken" in frame:
            with self._lock:
                self._out.release()
            return None
        if not frame["offsets"]:
            return {**_unpack(frame["message"], [], b"")}
        with open(self._incoming, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            message = {**_unpack(frame["message"], frame["offsets"], mapped)}
        with self._lock:
            self._frame({"taken": 1})
        return message

    def close(self) -> None:
        """Lets go of this side's array file."""
        with self._lock:
            self._out.close()

    def leave(self) -> None:
        """close, after which whoever sends waits for ever: the process is about to end. Nothing where somebody sends to
        who does not read."""
        if self._lock.acquire(timeout=1):
            self._out.close()

    def _frame(self, frame: dict) -> None:
        text = json.dumps(frame, separators=(",", ":")).encode()
        self._write.write(struct.pack("<I", len(text)) + text)
        self._write.flush()


class ArrayFile:
    """A memory-mapped file that arrays are laid into one after the other; it starts over when all were taken."""

    def __init__(self, path: Path):
        self._folder = path.parent.parent
        self._file = open(path, "w+b")
        self._map: mmap.mmap | None = None
        self._size = self._end = self._untaken = 0

    def put(self, arrays: list[np.ndarray]) -> list[int]:
        """Copies arrays in; returns their offsets in bytes. Raises NearError when the disk is full."""
        offsets, end = [], self._end
        for array in arrays:
            offsets.append(end)
            end += -(-array.nbytes // _ALIGN) * _ALIGN
        if end > self._size or not self._size:  # empty arrays, too, need a file that can be mapped
            self._grow(end)
        for array, offset in zip(arrays, offsets):
            if array.nbytes:
                np.frombuffer(self._map, np.uint8, array.nbytes, offset)[:] = np.frombuffer(array, np.uint8)
        self._end = end
        self._untaken += bool(arrays)
        return offsets

    def release(self) -> None:
        """One message with arrays was taken."""
        self._untaken -= 1
        if self._untaken == 0:
            self._end = 0

    def close(self) -> None:
        """Lets go of the file and its mapping."""
        if self._map is not None:
            self._map.close()
            self._map = None
        self._file.close()

    def _grow(self, end: int) -> None:
        size = max(end + min(end, MAX_SPARE), 1 << 20)  # room to spare, so that it seldom grows
        if self._map is not None:
            self._map.close()
            self._map = None
        self._size = 0
        try:
            self._allocate(size)
        except OSError as error:
            raise NearError("The folder for temporary files, {folder}, has no room for {size:.0f} MB ({reason}).",
                            "Free space there, or choose another folder in Preferences > File Paths.",
                            folder=self._folder, size=size / 1e6, reason=error.strerror) from error
        self._map = mmap.mmap(self._file.fileno(), size)
        self._size = size

    def _allocate(self, size: int) -> None:
        # real blocks, not a hole: writing into a hole of a full disk would kill the process instead of raising
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file.fileno(), 0, size)
        else:
            start = self._file.seek(0, os.SEEK_END)
            for at in range(start, size, 1 << 20):
                self._file.write(bytes(min(1 << 20, size - at)))
            self._file.flush()


def _pack(value: Any, arrays: list[np.ndarray]) -> Any:
    """The JSON form of a tree; its arrays are appended to `arrays`."""
    if isinstance(value, Message):
        return {"$message": [value.template, _pack(value.values, arrays)]}
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        return value.item()
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = np.frombuffer(value, np.uint8)
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("arrays of objects cannot be sent")
        arrays.append(np.ascontiguousarray(value).reshape(value.shape))
        return {"$array": [value.dtype.str, list(value.shape)]}
    if isinstance(value, dict):
        return {key: _pack(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_pack(item, arrays) for item in value]
    if isinstance(value, tuple):
        return {"$tuple": [_pack(item, arrays) for item in value]}
    if is_dataclass(value) and type(value).__name__ in TYPES:
        names = [field.name for field in fields(value) if not field.name.startswith("_")]
        return {"$type": type(value).__name__, **{name: _pack(getattr(value, name), arrays) for name in names}}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _unpack(tree: Any, offsets: list[int], mapped: bytes | mmap.mmap) -> Any:
    """The tree of a JSON form; offsets are used up in the order in which _pack met the arrays."""
    rest = iter(offsets)

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$array" in node:
            dtype, shape = np.dtype(node["$array"][0]), [operator.index(size) for size in node["$array"][1]]
            offset, count = next(rest, None), math.prod(shape)
            if dtype.hasobject or min(shape, default=0) < 0 or len(mapped) < count * dtype.itemsize:
                raise ValueError("an array of what was not sent")
            if not count:
                return np.empty(shape, dtype)
            return np.frombuffer(mapped, dtype, count, offset).reshape(shape).copy()
        if "$message" in node:
            template, values = walk(node["$message"])
            if _WIDE.search(template):
                raise ValueError("a message with a field wider than any of ours")
            return Message(template, **values)
        if "$tuple" in node:
            return tuple(walk(item) for item in node["$tuple"])
        items = {key: walk(item) for key, item in node.items() if key != "$type"}
        return TYPES[node["$type"]](**items) if "$type" in node else items

    return walk(tree)
