"""Where the neural assets of a scene are at some times, and how their proxies are bent meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from .._core import deformation
from ..asset import following, proxy
from . import sync


@dataclass(frozen=True, eq=False)
class PosedInstance:
    """An instance at a time. standing: (4, 4) float64, its object's matrix_world. frame: (4, 4), the asset's frame ->
    the object's. bend: what deforms it there, in the frame that this makes."""

    standing: np.ndarray
    frame: np.ndarray
    bend: deformation.Deformation | None = None

    def place(self, rest: np.ndarray) -> np.ndarray:
        """Vertices of its proxy (V, 3), world. rest: where they rest, asset frame."""
        points = rest if self.bend is None else self.bend.posed
        matrix = self.standing @ self.frame
        return points @ matrix[:3, :3].T + matrix[:3, 3]


def may_blur(ob: Any, parent: Any = None) -> bool:
    """Whether the artist lets motion blur ob, evaluated, in Cycles, and the one that makes it an instance."""
    return all(getattr(getattr(each, "cycles", None), "use_motion_blur", True) for each in (ob, parent or ob))


def find_poses(depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets, blurs: bool = False
               ) -> list[PosedInstance]:
    """Of every instance of assets, as the depsgraph has it now; of those that it no longer shows, as they were. blurs:
    so are those that may not blur."""
    standing: dict[tuple, np.ndarray] = {}
    copies: dict[tuple, list[following.Copy]] = {}
    shown: dict[Any, list[following.Copy]] = {}
    for instance in depsgraph.object_instances:
        ob: Any = instance.object
        if ob.type != "MESH" or not sync.is_asset(ob) or blurs and not may_blur(ob, instance.parent):
            continue
        key = sync.find_key(instance)
        standing[key] = np.array(instance.matrix_world, np.float64)
        if _may_bend(ob.original):
            place = ob.original, ob.data.as_pointer()
            if place not in shown:
                shown[place] = following.follow(ob).copies
            copies[key] = shown[place]
    found, before = [], Counter[tuple]()
    for key, stood, frame, bend in zip(assets.keys, assets.standing, assets.frames, assets.bends):
        same = copies.get(key, [])[before[key]:][:1]
        before[key] += 1
        if same:
            frame, bend = same[0].frame, same[0].deformation
        found.append(PosedInstance(standing.get(key, stood), frame, bend))
    return found


def _may_bend(ob: Any) -> bool:
    """Whether something may bend an original object from time to time: armatures and lattices do as parents, too."""
    return bool(ob.modifiers or ob.data.shape_keys or ob.parent and ob.parent_type in ("ARMATURE", "LATTICE"))


def trace(poses: Sequence[Sequence[PosedInstance]], now: int) -> tuple[np.ndarray, dict[int, list[np.ndarray]]]:
    """How instances move. poses: by time, of each of I instances. now: the time whose frame a picture is drawn in.

    Returns (T, I, 4, 4) float64, asset frame -> world at every time, of one that is bent as near as a matrix comes; and
    for each of those its number -> where the vertices of its proxy are at every time, (V, 3) world.
    """
    matrices, bends = np.empty((len(poses), len(poses[0]), 4, 4)), {}
    for number, times in enumerate(zip(*poses)):
        rest = next((each.bend.rest for each in times if each.bend is not None), None)
        if rest is None:
            matrices[:, number] = [each.standing @ each.frame for each in times]
            continue
        places = [each.place(rest) for each in times]
        frame = times[now].frame
        if any(len(each) != len(places[now]) for each in places):  # what modifiers make of it is another mesh
            matrices[:, number] = [each.standing @ frame for each in times]
            continue
        bends[number] = places
        own = times[now].standing @ frame
        matrices[:, number] = [own if each is places[now] else proxy.fit(places[now], each)[0] @ own for each in places]
    return matrices, bends
