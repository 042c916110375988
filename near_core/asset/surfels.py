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
    emission: (M, 3) linear Rec.709, radiance that they send by themselves; None where none does.
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
    emission: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.position)

    @property
    def glow(self) -> np.ndarray:
        """(M, 3) float32, what they emit, zeros where that is nothing."""
        return np.zeros_like(self.position) if self.emission is None else self.emission

    def take(self, index: np.ndarray | slice) -> Surfels:
        """The surfels at index (K,) integers or (M,) booleans, or those of a slice."""
        if not isinstance(index, slice) and index.dtype == bool:
            index = np.flatnonzero(index)
        columns = (getattr(self, field.name) for field in fields(self))
        return Surfels(*(None if column is None else take_rows(column, index) for column in columns))

    def flip(self) -> Surfels:
        """The same pieces seen from behind."""
        return replace(self, normal=-self.normal, shading_normal=-self.shading_normal)


def take_rows(values: np.ndarray, index: np.ndarray | slice) -> np.ndarray:
    """values[index], index (K,) integers or a slice: numpy gathers rows by take several times as quickly."""
    return values[index] if values.ndim == 1 or isinstance(index, slice) else values.take(index, 0)


def concatenate(parts: list[Surfels]) -> Surfels:
    """Several lists as one, in order."""
    columns = {field.name: [getattr(each, field.name) for each in parts] for field in fields(Surfels)}
    if all(each is None for each in columns["emission"]):
        del columns["emission"]
    else:
        columns["emission"] = [each.glow for each in parts]
    return Surfels(**{name: np.concatenate(column) for name, column in columns.items()})
