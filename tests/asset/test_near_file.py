"""The container of `.near`: the same bytes every time, files of any writer, and no trust in what a header claims."""

import importlib
import json
import struct
import subprocess
import sys

import numpy as np
import pytest
from safetensors import numpy as safetensors

from near_core.asset import near_file
from near_core.errors import NearError

TENSORS = {"coords": np.arange(6, dtype=np.uint8).reshape(2, 3), "slat": np.zeros((2, 0), np.float16),
           "area": np.float32([0.5, 2]), "normal": np.arange(-4, 4, dtype=np.int16).reshape(2, 2, 2)}
METADATA = {"name": "Stuhl, \u6905\u5b50", "model": "near-mini", "extent": "2.5"}
PACK = """
import hashlib, numpy as np
from near_core.asset import near_file
print(hashlib.sha256(near_file.pack({"b": np.ones((3, 2), np.float16), "a": np.ones(5, np.uint8)},
                                    {"name": "x", "model": "y", "extent": "1", "source": "z"})).hexdigest())
"""


def write_by_hand(tensors: dict, metadata: dict, version: int = 1) -> bytes:
    """A file as another program may write it: tensors and metadata in any order."""
    header, offset = {"__metadata__": {"format": "near", "format_version": str(version), **metadata}}, 0
    names = {"uint8": "U8", "uint16": "U16", "int16": "I16", "float16": "F16", "float32": "F32"}
    for key, value in tensors.items():
        header[key] = {"dtype": names[value.dtype.name], "shape": list(value.shape),
                       "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(value.tobytes() for value in tensors.values())


@pytest.mark.parametrize("write", [near_file.pack, write_by_hand])
def test_tensors_and_metadata_return(write):
    tensors, metadata = near_file.unpack(write(TENSORS, METADATA), "It")
    assert tensors.keys() == TENSORS.keys() and METADATA.items() <= metadata.items()
    for name, values in TENSORS.items():
        assert tensors[name].dtype == values.dtype
        np.testing.assert_array_equal(tensors[name], values)


def test_every_process_writes_the_same_bytes():
    """And every machine: these are of version 2 of the format."""
    made = {subprocess.run([sys.executable, "-c", PACK], capture_output=True, text=True, check=True).stdout.strip()
            for _ in range(3)}
    assert made == {"24ee3a59cc1480fc7bd817b14cd96a482fa850b428804c3967b01424448f849c"}


def test_any_reader_of_safetensors_reads_it():
    tensors = safetensors.load(near_file.pack(TENSORS, METADATA))
    np.testing.assert_array_equal(tensors["coords"], TENSORS["coords"])


def test_arrays_of_any_layout_are_written():
    turned = np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4))[::-1, ::2]
    np.testing.assert_array_equal(near_file.unpack(near_file.pack({"a": turned}, {}), "It")[0]["a"], turned)


def test_names_that_are_not_unicode_are_read_and_written_without_what_is_not():
    name = b"b\xe4d".decode(errors="surrogateescape")  # what Python makes of a file's name in Latin-1
    data = near_file.pack(TENSORS, METADATA | {"name": name})
    assert safetensors.load(data).keys() == TENSORS.keys()
    assert near_file.unpack(data, "It")[1]["name"] == "b?d"
    assert near_file.unpack(write_by_hand(TENSORS, METADATA | {"name": name}), "It")[1]["name"] == name


def test_a_python_without_the_library_says_so_when_it_meets_an_asset(monkeypatch):
    data = near_file.pack(TENSORS, METADATA)
    monkeypatch.setitem(sys.modules, "safetensors", None)  # its import fails
    importlib.reload(near_file)
    for work in (lambda: near_file.unpack(data, "It"), lambda: near_file.pack(TENSORS, METADATA)):
        with pytest.raises(NearError, match="need the Python package safetensors"):
            work()


def with_header(header: dict, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


ONE = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
MINE = {"format": "near", "format_version": "1"}


@pytest.mark.parametrize("header", [
    {"a": ONE}, {"__metadata__": {}, "a": ONE}, {"__metadata__": {"format": "far"}, "a": ONE}, [], 3, None,
    {"__metadata__": MINE}, {"__metadata__": MINE, "a": ONE, "b": ONE}, {"__metadata__": MINE, "a": 1},
    {"__metadata__": MINE, "a": ONE | {"shape": [2**40, 2**40]}},
    {"__metadata__": MINE, "a": ONE | {"shape": [-1, -4]}},
    {"__metadata__": MINE, "a": ONE | {"shape": [2**62, 0], "data_offsets": [0, 0]}},
    {"__metadata__": MINE, "a": ONE | {"dtype": "I64"}}, {"__metadata__": MINE, "a": ONE | {"dtype": "F16"}},
    {"__metadata__": MINE, "a": ONE | {"data_offsets": [0, 2**63]}},
    {"__metadata__": MINE, "a": ONE | {"data_offsets": [1, 5]}},
])
def test_headers_that_lie_are_refused(header):
    with pytest.raises(NearError, match="It is not a complete .near file"):
        near_file.unpack(with_header(header, b"abcd"), "It")


def test_what_is_cut_off_or_too_long_is_refused():
    data = near_file.pack(TENSORS, METADATA)
    longer = struct.pack("<Q", near_file.MAX_HEADER + 1) + b" " * (near_file.MAX_HEADER + 8)
    for broken in (b"", data[:7], data[:40], data[:-1], data + b"\0", struct.pack("<Q", 1 << 60) + data[8:], longer,
                   b"[" * 100_000):
        with pytest.raises(NearError):
            near_file.unpack(broken, "It")


@pytest.mark.parametrize("version", [near_file.FORMAT_VERSION + 1, 99])
def test_a_newer_file_asks_for_a_newer_program(version):
    with pytest.raises(NearError, match="newer"):
        near_file.unpack(write_by_hand(TENSORS, METADATA, version=version), "It")
    with pytest.raises(NearError, match="newer"):
        near_file.unpack(near_file.pack(TENSORS, METADATA | {"format_version": str(version)}), "It")
