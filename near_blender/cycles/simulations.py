"""Simulations in the second Blender: what they remember is in no file unless it is baked, so they are played again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import bpy

from ..shaders import node_trees


class Simulations:
    """What is simulated in an opened scene, in instanced collections, too: the file holds nothing else. Where objects
    are, rigid bodies too, the first Blender says; these move while the rest is played, which may hang on them."""

    def __init__(self, scene: Any):
        self._scene, self._next = scene, _find_start(scene)  # the first frame that was not played yet
        self._bodies = scene.rigidbody_world is not None and scene.rigidbody_world.enabled
        self.let_bodies_move(False)

    def play(self, frame: int, tell: Callable[[int, int], None]) -> None:
        """Plays what comes before a frame and was not played yet; from then on rigid bodies move. tell: called with
        frames that are done, and all."""
        if self._next is None or frame < self._next:
            return
        first = self._next
        self.let_bodies_move(True)
        for each in range(first, frame):
            tell(each - first, frame - first)
            self._scene.frame_set(each)
            self._next = each + 1

    def let_bodies_move(self, move: bool) -> None:
        """Whether rigid bodies are simulated: where they are, no object can be put elsewhere."""
        if self._bodies:
            self._scene.rigidbody_world.enabled = move


def _find_start(scene: Any) -> int | None:
    """The first frame of what is simulated, shows in renders and is not baked. Of simulation zones Blender does not
    tell whether they are: these count."""
    starts, modifiers = [], [each for ob in bpy.data.objects for each in list[Any](ob.modifiers) if each.show_render]
    for modifier in modifiers:
        if modifier.type == "NODES":
            if modifier.node_group is not None and _simulates(modifier.node_group):
                starts.append(scene.frame_start)
            continue
        for cache in _list_caches(modifier):
            if cache.use_disk_cache and not cache.use_external:  # files beside the artist's, which are not here
                cache.use_disk_cache = False
                with bpy.context.temp_override(point_cache=cache):
                    bpy.ops.ptcache.free_bake()
            if not cache.is_baked:
                starts.append(cache.frame_start)
    return min(starts, default=None)


def _list_caches(modifier: Any) -> Iterator[Any]:
    """The point caches of a modifier."""
    if modifier.type == "PARTICLE_SYSTEM":
        system = modifier.particle_system
        if system.settings.type != "HAIR" or system.use_hair_dynamics:
            yield system.point_cache
    elif modifier.type == "DYNAMIC_PAINT" and modifier.canvas_settings is not None:
        yield from (surface.point_cache for surface in modifier.canvas_settings.canvas_surfaces)
    elif getattr(modifier, "point_cache", None) is not None:
        yield modifier.point_cache


def _simulates(group: bpy.types.NodeTree) -> bool:
    return any(node.type == "SIMULATION_OUTPUT" for tree in node_trees.list_trees(group) for node in tree.nodes)
