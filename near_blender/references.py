"""A datablock to be found again later: meanwhile an artist may rename or delete it, and undo exchanges it.

In files it is known by a key of its own: a pointer would bring it along with what is appended or handed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import bpy


@dataclass(frozen=True)
class Reference:
    """kind: the collection of bpy.data. uid: what Blender knows it by in this session. name: it had, for messages."""

    kind: str
    uid: int
    name: str

    @classmethod
    def to_object(cls, ob: bpy.types.Object) -> Reference:
        return cls("objects", ob.session_uid, ob.name)

    @classmethod
    def to_image(cls, image: bpy.types.Image) -> Reference:
        return cls("images", image.session_uid, image.name)

    @classmethod
    def to_scene(cls, scene: bpy.types.Scene) -> Reference:
        return cls("scenes", scene.session_uid, scene.name)

    def find(self) -> Any:
        """It, or None where it is gone."""
        return next((each for each in getattr(bpy.data, self.kind) if each.session_uid == self.uid), None)


def name_key(block: Any) -> str:
    """What an object or image is known by under any name, in this file and in those that it comes to; "" for one of a
    library, whose name stays."""
    if not block.near.key and block.is_editable:
        block.near.key = uuid4().hex
    key: str = block.near.key
    return key


def find_keyed(kind: str, key: str, name: str) -> Any:
    """The one of bpy.data's objects or images that has a key, which its duplicates have, too: that of a name, if any.
    By its name where it has no key. None where it is gone."""
    blocks = getattr(bpy.data, kind)
    named = blocks.get(name)
    if not key or (named is not None and named.near.key == key):
        return named
    return next((each for each in blocks if each.near.key == key), None)
