"""The asset inside the .blend: the bytes of its .near file, kept by a mesh without geometry that no object displays.

The bytes are an ID property, so Blender saves, appends, links and copies them where the add-on is disabled or missing;
`object.near.asset` points at the mesh, so duplicates share it and it lives as long as one of them does. A payload is
never rewritten: other bytes make another mesh.
"""

from __future__ import annotations

import weakref
from typing import Any

import bpy

from .. import opening
from .._core import asset as assets
from .._core import cache

KEY = "near_asset"
hash_bytes = assets.hash_bytes  # a payload goes by the name that its asset has in the engine
_hashes: dict[int, str] = {}  # Mesh.session_uid -> hash
_shared: weakref.WeakValueDictionary[str, SharedBytes] = weakref.WeakValueDictionary()  # by hash
_assets: cache.RecentResults[assets.NeuralAsset] = cache.RecentResults(8)  # decoded, tens of MB each


def attach(ob: Any, data: bytes, name: str = "") -> bpy.types.Mesh:
    """Makes ob stand for the asset in data, the bytes of a .near file; equal bytes share one payload."""
    wanted = hash_bytes(data)
    mesh = next((m for m in bpy.data.meshes if not m.library and find_hash(m) == wanted), None)
    if mesh is None:
        mesh = bpy.data.meshes.new(f"{name or ob.name} (NeAR)")
        mesh[KEY] = data  # a new property: assigning to an existing one would stop at the first zero byte
    ob.near.asset = mesh
    return mesh


def find_payload(ob: Any) -> bpy.types.Mesh | None:
    """The payload that ob stands for, if any."""
    return ob.near.asset


def is_payload(mesh: Any) -> bool:
    """Whether mesh keeps an asset."""
    return KEY in mesh


def read_bytes(mesh: bpy.types.Mesh | None) -> bytes | None:
    """The bytes of the .near file kept by mesh; None where it is no payload."""
    data = mesh.get(KEY) if mesh is not None else None
    return data if isinstance(data, bytes) else None


class SharedBytes:
    """The bytes of a .near file, held once for all who hold this. data: them."""

    def __init__(self, data: bytes) -> None:
        self.data = data


def share_bytes(mesh: bpy.types.Mesh) -> SharedBytes:
    """read_bytes of a payload, which copies them out of Blender, kept while anyone holds what is returned."""
    key = find_hash(mesh) or ""
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = SharedBytes(read_bytes(mesh) or b"")
    return found


def find_hash(mesh: bpy.types.Mesh | None) -> str | None:
    """hash_bytes of what mesh keeps, computed once per session; None where it is no payload."""
    if mesh is None:
        return None
    uid = mesh.session_uid
    if uid not in _hashes:
        data = read_bytes(mesh)
        if data is None:
            return None
        _hashes[uid] = hash_bytes(data)
    return _hashes[uid]


def decode_asset(ob: bpy.types.Object) -> assets.NeuralAsset | None:
    """The asset ob stands for, decoded; None where it stands for none. Raises NearError for damaged bytes."""
    mesh = find_payload(ob)
    key = find_hash(mesh)
    if key is None:
        return None
    return _assets.get_or(key, lambda: assets.from_bytes(read_bytes(mesh), f"The asset of {ob.name}"))


def forget() -> None:
    """Empties the caches: after another file was opened, and on unregister."""
    _hashes.clear()
    _assets.clear()


def register() -> None:
    opening.add(forget)


def unregister() -> None:
    opening.remove(forget)
