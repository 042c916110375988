"""Cryptomatte (Friedman and Jones 2015): names as numbers, and what a file says about them."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

_MASK = 0xFFFFFFFF


def hash_name(name: str) -> int:
    """MurmurHash3_32 of a name with seed 0, an unsigned 32-bit number."""
    data, state = name.encode(), 0

    def mix(block: int) -> int:
        block = block * 0xCC9E2D51 & _MASK
        return ((block << 15 | block >> 17) & _MASK) * 0x1B873593 & _MASK

    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        state ^= mix(int.from_bytes(data[start:start + 4], "little"))
        state = ((state << 13 | state >> 19) & _MASK) * 5 + 0xE6546B64 & _MASK
    state ^= mix(int.from_bytes(data[whole:], "little")) ^ len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B & _MASK
    state = (state ^ state >> 13) * 0xC2B2AE35 & _MASK
    return state ^ state >> 16


def compute_id(name: str) -> np.float32:
    """The number that stands for a name in a picture: its hash's bits, the exponent kept from what is no number."""
    bits = hash_name(name)
    exponent = min(max(bits >> 23 & 0xFF, 1), 254)
    return np.uint32(bits & 0x807FFFFF | exponent << 23).view(np.float32)


def describe(layer: str, names: Iterable[str]) -> dict[str, str]:
    """The metadata of a file with a Cryptomatte. layer: what its passes' names begin with."""
    prefix = f"cryptomatte/{hash_name(layer):08x}"[:len("cryptomatte/") + 7]
    manifest = {name: f"{int(compute_id(name).view(np.uint32)):08x}" for name in sorted(set(names))}
    return {f"{prefix}/name": layer, f"{prefix}/hash": "MurmurHash3_32", f"{prefix}/conversion": "uint32_to_float32",
            f"{prefix}/manifest": json.dumps(manifest, separators=(",", ":"), ensure_ascii=False)}
