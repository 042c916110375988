"""What a native library asks of its machine: the system, the processor, and the oldest version of the system."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

_ELF_MACHINES = {62: "x64", 183: "arm64"}
_PE_MACHINES = {0x8664: "x64", 0xAA64: "arm64"}
_MACH_MACHINES = {0x01000007: "x64", 0x0100000C: "arm64"}
_BUILD_VERSION, _VERSION_MIN_MACOSX, _SIGNATURE = 0x32, 0x24, 0x1D  # load commands of Mach-O
_FAT = 0xCAFEBABE


@dataclass(frozen=True)
class Demand:
    """system: "linux", "windows" or "macos". machine: "x64" or "arm64". version: the least of glibc, of the Windows
    subsystem, or of macOS."""

    system: str
    machine: str
    version: tuple[int, int]


def read_demand(data: bytes) -> Demand | None:
    """What a file's bytes ask for; None where they are no native library."""
    if data[:4] == b"\x7fELF":
        found = [(int(a), int(b)) for a, b in re.findall(rb"GLIBC_(\d+)\.(\d+)", data)]
        machine = struct.unpack_from("<H", data, 18)[0]
        return Demand("linux", _ELF_MACHINES.get(machine, str(machine)), max(found, default=(2, 0)))
    if data[:2] == b"MZ":
        at = struct.unpack_from("<I", data, 0x3C)[0]
        if data[at:at + 4] != b"PE\0\0":
            return None
        machine = struct.unpack_from("<H", data, at + 4)[0]
        return Demand("windows", _PE_MACHINES.get(machine, str(machine)), struct.unpack_from("<HH", data, at + 24 + 48))
    if len(data) > 8 and struct.unpack_from(">I", data)[0] == _FAT:
        parts = [struct.unpack_from(">IIIII", data, 8 + 20 * n) for n in range(struct.unpack_from(">I", data, 4)[0])]
        found_parts = [read_demand(data[offset:offset + size]) for _, _, offset, size, _ in parts]
        return next((part for part in found_parts if part is not None and part.machine == "arm64"), None)
    if data[:4] == b"\xcf\xfa\xed\xfe":
        return _read_mach(data)
    return None


def _read_mach(data: bytes) -> Demand:
    machine, commands, version = struct.unpack_from("<I", data, 4)[0], _find_commands(data), 0
    for command, after in ((_VERSION_MIN_MACOSX, 8), (_BUILD_VERSION, 12)):
        if command in commands:
            version = struct.unpack_from("<I", data, commands[command] + after)[0]
    return Demand("macos", _MACH_MACHINES.get(machine, str(machine)), (version >> 16, version >> 8 & 255))


def _find_commands(data: bytes) -> dict[int, int]:
    """The load commands of a Mach-O file -> where each lies."""
    at, found = 32, {}
    for _ in range(struct.unpack_from("<I", data, 16)[0]):
        command, size = struct.unpack_from("<II", data, at)
        found[command] = at
        at += size
    return found


def find_faults(data: bytes, folder: Path) -> list[str]:
    """What is wrong with a library that was built in a folder for another machine."""
    demand, faults = read_demand(data), []
    if demand is None:
        return ["is no native library"]
    if (demand.system, demand.machine) == ("macos", "arm64") and _SIGNATURE not in _find_commands(data):
        faults.append("is not signed, and Apple silicon loads no such code")
    if demand.system == "windows" and struct.unpack_from("<I", data, struct.unpack_from("<I", data, 0x3C)[0] + 8)[0]:
        faults.append("holds the time at which it was linked: no other build is the same")
    if str(folder).encode() in data:
        faults.append(f"names {folder}")
    return faults
