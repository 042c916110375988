"""Surfels: small oriented pieces of surface with a material, the currency between an asset and the light."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

SURFEL_RESOLUTION = 128  # surfels are sampled on cells of this grid, two per edge of a 64^3 voxel
CELL = 1.0 / SURFEL_RESOLUTION  # asset units


@dataclass(frozen=True)
class Surfels:
    """M pieces of surface in the asset's frame, the cube [-0.5, 0.5]^3, Z up, front -Y. All float32.

    position: (M, 3). normal: (M, 3) unit, geometric, outward. shading_normal: (M, 3) unit, normal map applied.
    base_color: (M, 3) linear Rec.709. roughness, metallic: (M,) 0..1.
    area: (M,) in cells squared (CELL^2): how much surface the surfel stands for.
    opacity: (M,) 0..1. confidence: (M,) 0..1, 1 = seen by a photo or taken from a mesh.
    """

    position: np.ndarray
    normal: np.ndarray
    shading_normal: np.ndarray
    base_color: np.ndarray
    roughness: np.ndarray
    metallic: np.ndarray
    area: np.ndarray
    opacity: np.ndarray
    confidence: np.ndarray

    def __len__(self) -> int:
        return len(self.position)

    def take(self, index: np.ndarray) -> Surfels:
        """The surfels at index (K,) integers or (M,) booleans."""
        return Surfels(*(getattr(self, field.name)[index] for field in fields(self)))

    def flip(self) -> Surfels:
        """The same pieces seen from behind."""
        return replace(self, normal=-self.normal, shading_normal=-self.shading_normal)

    def mirror(self) -> Surfels:
        """The same pieces on the other side of the plane x = 0."""
        over = np.float32([-1, 1, 1])
        return replace(self, position=self.position * over, normal=self.normal * over,
                       shading_normal=self.shading_normal * over)


def concatenate(parts: list[Surfels]) -> Surfels:
    """Several lists as one, in order."""
    return Surfels(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Surfels)))
