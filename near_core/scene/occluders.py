"""Occluders: ordinary triangles that cast shadows on assets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Occluders:
    """Triangles that nothing shines through. vertices: (V, 3) float32, metres, world. faces: (F, 3) int32."""

    vertices: np.ndarray
    faces: np.ndarray

    @cached_property
    def hash(self) -> str:
        """Content hash."""
        content = hashlib.sha256(np.ascontiguousarray(self.vertices, np.float32))
        content.update(np.ascontiguousarray(self.faces, np.int32))
        return content.hexdigest()[:32]

    @property
    def nbytes(self) -> int:
        """Of its arrays."""
        return self.vertices.nbytes + self.faces.nbytes

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
        try:
            from embreex import mesh_construction, rtcore_scene
        except ImportError:
            return None
        finite = np.isfinite(self.vertices[self.faces]).all((1, 2)) if len(self.faces) else np.empty(0, bool)
        if not finite.any():
            return None
        scene = rtcore_scene.EmbreeScene()
        mesh_construction.TriangleMesh(scene, np.ascontiguousarray(self.vertices, np.float32),
                                       np.ascontiguousarray(self.faces[finite], np.int32))
        return scene
