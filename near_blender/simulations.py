"""Simulations in the second Blender: what they remember is in no file unless it is baked, so they are played again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import bpy

from . import node_trees


class Simulations:
    """What is simulated in an opened scene; where objects are, rigid bodies too, the first Blender says."""

    def __init__(self, scene: Any):
        if scene.rigidbody_world is not None:
            scene.rigidbody_world.enabled = False
        self._scene, starts = scene, [*_list_starts(scene)]
        self._next = min(starts, default=None)  # the first frame that was not played yet

    def play(self, frame: int, tell: Callable[[int, int], None]) -> None:
        """Plays what comes before a frame and was not played yet. tell: called with frames that are done, and all."""
        if self._next is None or frame < self._next:
            return
        first = self._next
        for each in range(first, frame):
            tell(each - first, frame - first)
            self._scene.frame_set(each)
            self._next = each + 1


def _list_starts(scene: Any) -> Iterator[int]:
    """The first frame of each simulation that is not baked."""
    for ob in scene.objects:
        for modifier in ob.modifiers:
            if modifier.type == "NODES":
                if modifier.node_group is not None and _simulates(modifier.node_group):
                    yield scene.frame_start
                continue
            caches = [getattr(modifier, "point_cache", None)]
            if modifier.type == "PARTICLE_SYSTEM":
                caches = [modifier.particle_system.point_cache]
                settings = modifier.particle_system.settings
                if settings.type == "HAIR" and not modifier.particle_system.use_hair_dynamics:
                    continue
            elif modifier.type == "DYNAMIC_PAINT" and modifier.canvas_settings is not None:
                caches = [surface.point_cache for surface in modifier.canvas_settings.canvas_surfaces]
            yield from (cache.frame_start for cache in caches if cache is not None and not cache.is_baked)


def _simulates(group: bpy.types.NodeTree) -> bool:
    return any(node.type == "SIMULATION_OUTPUT" for tree in node_trees.list_trees(group) for node in tree.nodes)
