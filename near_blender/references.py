"""A datablock to be found again later: meanwhile an artist may rename or delete it, and undo exchanges it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
