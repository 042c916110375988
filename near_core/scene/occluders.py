"""Occluders: ordinary triangles that cast shadows on assets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

# bytes that Embree takes at most, on its own and for each triangle, measured once; it crashes where it gets less
_ROOM, _TRIANGLE_ROOM = 192 * 2**20, 256


def has_embree() -> bool:
    """Whether this Python can trace rays through triangles."""
    try:
        import embreex.mesh_construction  # noqa: F401
    except ImportError:
        return False
    return True


@dataclass(frozen=True, eq=False)
class Occluders:
    """Triangles that nothing shines through. vertices: (V, 3) float32, metres, world. faces: (F, 3) int32. owners:
    names of what they belong to, and owner: (F,) int32, the one of each; None where nobody asks. clear: (F,) bool,
    those of glass, which light does come through, bent; None where none is."""

    vertices: np.ndarray
    faces: np.ndarray
    owners: tuple[str, ...] = ()
    owner: np.ndarray | None = None
    clear: np.ndarray | None = None

    @cached_property
    def hash(self) -> str:
        """Content hash."""
        content = hashlib.sha256(np.ascontiguousarray(self.vertices, np.float32))
        content.update(np.ascontiguousarray(self.faces, np.int32))
        if self.owner is not None:
            content.update(np.ascontiguousarray(self.owner, np.int32))
            content.update("\0".join(self.owners).encode())
        if self.clear is not None:
            content.update(np.ascontiguousarray(self.clear, bool))
        return content.hexdigest()[:32]

    @property
    def nbytes(self) -> int:
        """Of its arrays."""
        return sum(each.nbytes for each in (self.vertices, self.faces, self.owner, self.clear) if each is not None)

    def drop(self, names: Iterable[str] = (), glass: bool = False) -> Occluders:
        """The same without what has one of those names, or is of glass, made once for each choice of these."""
        gone = frozenset(names).intersection(() if self.owner is None else self.owners)
        glass = glass and self.has_glass
        if not gone and not glass:
            return self
        if (gone, glass) not in self._others:
            kept = np.ones(len(self.faces), bool)
            if gone:
                kept &= ~np.isin(self.owner, [number for number, name in enumerate(self.owners) if name in gone])
            if glass:
                kept &= ~np.asarray(self.clear)
            self._others[gone, glass] = Occluders(self.vertices, self.faces[kept])
        return self._others[gone, glass]

    @cached_property
    def _others(self) -> dict[tuple[frozenset[str], bool], Occluders]:
        return {}

    @property
    def has_glass(self) -> bool:
        """Whether any of it is."""
        return self.clear is not None and bool(self.clear.any())

    def measure(self, origin: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """How far rays go until they meet a triangle, (K,) float32 metres: infinite where they meet none, or where
        Embree is missing. origin: (K, 3) float32, metres, world. direction: (K, 3) float32 unit."""
        far = np.full(len(origin), np.inf, np.float32)
        if self._embree is None or not len(origin):
            return far
        reached = self._embree.run(np.ascontiguousarray(origin, np.float32),
                                   np.ascontiguousarray(direction, np.float32), query="DISTANCE")
        return np.where(reached < 1e30, reached, far)

    def block(self, origin: np.ndarray, direction: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Which rays meet a triangle before their end. (K,) bool; none where Embree is missing.

        origin: (K, 3) float32 metres, world. direction: (K, 3) float32 unit. distance: (K,) float32 metres.
        """
        if self._embree is None or not len(origin):
            return np.zeros(len(origin), bool)
        hit = self._embree.run(np.ascontiguousarray(origin, np.float32), np.ascontiguousarray(direction, np.float32),
                               query="OCCLUDED", dists=np.minimum(distance, 1e30).astype(np.float32))
        return hit >= 0

    @property
    def are_traced(self) -> bool:
        """Whether Embree is there and has something to trace."""
        return self._embree is not None

    @cached_property
    def _embree(self) -> Any:
        """Raises MemoryError."""
        try:
            from embreex import mesh_construction, rtcore_scene
        except ImportError:
            return None
        finite = np.isfinite(self.vertices[self.faces]).all((1, 2)) if len(self.faces) else np.empty(0, bool)
        if not finite.any():
            return None
        np.empty(_ROOM + _TRIANGLE_ROOM * len(self.faces), np.uint8)
        scene = rtcore_scene.EmbreeScene()
        mesh_construction.TriangleMesh(scene, np.ascontiguousarray(self.vertices, np.float32),
                                       np.ascontiguousarray(self.faces[finite], np.int32))
        return scene
