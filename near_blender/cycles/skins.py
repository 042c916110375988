"""Assets' skins in the place of their proxies in the second Blender: mirrors and shadows as fine as the assets."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from .._core import asset as assets
from .._core import cache, errors, textured_mesh
from ..asset import baked_mesh, payload, proxy

MOST_FACES = 500_000  # of a skin; the proxies of finer ones stay
MOST_IN_ALL = 4_000_000  # faces of all skins of a scene; the proxies of further ones stay
_known: cache.RecentResults[Any] = cache.RecentResults(16)  # skins as meshes in the asset's frame, None for none


def list_payloads() -> dict[str, str]:
    """Which objects of the file show their proxy as it is: name_full -> that of the mesh that keeps their asset. Whose
    materials they have does not count, as in the picture of the assets."""
    objects: Any = bpy.data.objects
    whole = {ob for ob in objects if ob.near.asset is not None and ob.type == "MESH" and not ob.modifiers
             and not ob.data.shape_keys}
    users: Any = bpy.data.user_map(subset=whole) if whole else {}
    return {ob.name_full: ob.near.asset.name_full for ob in whole if not any(map(_reads, users[ob]))}


def _reads(user: Any) -> bool:
    """Whether what uses an object may look at its geometry."""
    return isinstance(user, bpy.types.NodeTree) or isinstance(user, bpy.types.Object) and bool(
        user.modifiers or user.constraints or user.parent_type != "OBJECT")


class Skins:
    """The meshes of one scene. payloads: what list_payloads said of it."""

    def __init__(self, payloads: dict[str, str]):
        self.payloads = payloads
        self._meshes: dict[tuple, Any] = {}
        self._faces = 0  # of all these

    def find(self, name: str, own: Any) -> Any:
        """The mesh that shows the asset of the object with this name_full, whose proxy is the mesh `own`, in its frame;
        None where the proxy has to."""
        keeper: Any = bpy.data.meshes.get(self.payloads.get(name, ""))
        key = payload.find_hash(keeper)
        rest, now, marks = proxy.read_vertices(own)
        if key is None or len(rest) < 4 or np.ptp(marks) or not np.isfinite(now).all():
            return None
        matrix, off = proxy.fit(rest, now)
        if off > proxy.TOLERANCE:
            return None
        place = key, np.round(matrix, 6).tobytes()
        if place not in self._meshes:
            made = _known.get_or(key, lambda: _read(keeper))
            if made is None or self._faces + len(made.faces) > MOST_IN_ALL:
                self._meshes[place] = None
                return None
            self._faces += len(made.faces)
            self._meshes[place] = baked_mesh.make_mesh(
                baked_mesh.move(made, matrix), own.name, f"{own.name} skin", packed=False)
        return self._meshes[place]


def _read(keeper: Any) -> Any:
    try:
        skin = assets.from_bytes(payload.read_bytes(keeper)).skin
        return None if skin is None or len(skin.faces) > MOST_FACES else textured_mesh.convert_skin(skin)
    except errors.NearError:
        return None
