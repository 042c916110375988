"""release.natives against what Python's own build and the wheels' names say."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from kernels.lab import build
from kernels.library import library_path, this_platform
from release.natives import Demand, find_faults, read_demand
from release.shell import ROOT


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at a Linux wheel's library")
def test_libraries_of_this_machine():
    ours = read_demand(library_path().read_bytes())
    wanted = tuple(int(part) for part in build.TARGETS[this_platform()].split("gnu.")[1].split("."))
    assert ours.system == "linux" and ours.version <= wanted
    numpy = next(Path(np.__file__).parent.rglob("_multiarray_umath*.so"))
    assert read_demand(numpy.read_bytes()).system == "linux"


def test_mach_o_and_fat_libraries():
    commands = struct.pack("<IIIIII", 0x32, 24, 1, 11 << 16 | 2 << 8, 14 << 16, 0)
    thin = struct.pack("<IIIIIIII", 0xFEEDFACF, 0x0100000C, 0, 6, 1, len(commands), 0, 0) + commands
    assert read_demand(thin) == Demand("macos", "arm64", (11, 2))
    old = thin[:4] + struct.pack("<I", 0x01000007) + thin[8:32] + struct.pack("<IIII", 0x24, 16, 10 << 16 | 15 << 8, 0)
    assert read_demand(old) == Demand("macos", "x64", (10, 15))
    fat = struct.pack(">II", 0xCAFEBABE, 2) + struct.pack(">IIIII", 0x01000007, 3, 64, len(old), 0) \
        + struct.pack(">IIIII", 0x0100000C, 0, 128, len(thin), 0)
    assert read_demand(fat.ljust(64, b"\0") + old.ljust(64, b"\0") + thin) == Demand("macos", "arm64", (11, 2))


def test_a_library_that_would_not_load_or_be_built_alike_elsewhere_is_named():
    here = ROOT
    assert find_faults(library_path().read_bytes(), here) == []
    commands = struct.pack("<IIIIII", 0x32, 24, 1, 11 << 16, 14 << 16, 0)
    unsigned = struct.pack("<IIIIIIII", 0xFEEDFACF, 0x0100000C, 0, 6, 1, 24, 0, 0) + commands
    signed = unsigned[:16] + struct.pack("<IIII", 2, 40, 0, 0) + commands + struct.pack("<IIII", 0x1D, 16, 0, 0)
    assert find_faults(signed, here) == [] and find_faults(unsigned, here)[0].startswith("is not signed")
    assert find_faults(signed + str(here).encode(), here) == [f"names {here}"]
    windows = bytearray(256)
    windows[:2], windows[0x3C:0x40] = b"MZ", struct.pack("<I", 64)
    windows[64:70] = b"PE\0\0" + struct.pack("<H", 0x8664)
    assert find_faults(bytes(windows), here) == []
    windows[72] = 1
    assert find_faults(bytes(windows), here)[0].startswith("holds the time") and find_faults(b"", here)


@pytest.mark.parametrize("data", [b"", b"MZ" + bytes(100), b"\x89PNG\r\n", b"PK\3\4"])
def test_other_files_are_none(data):
    assert read_demand(data) is None
