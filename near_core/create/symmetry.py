"""Planes in which an object is its own mirror image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..asset import RESOLUTION, Surfels
from ..asset.surfels import SURFEL_RESOLUTION
from ..directions import unit
from ..image.filters import local_maximum


@dataclass(frozen=True)
class Movement:
    """What maps the asset's cube onto itself: axes change places, then some change their sign."""

    order: tuple[int, int, int] = (0, 1, 2)
    signs: tuple[int, int, int] = (1, 1, 1)

    def then(self, other: Movement) -> Movement:
        """This movement and then another one."""
        signs = tuple(other.signs[k] * self.signs[other.order[k]] for k in range(3))
        return Movement(tuple(self.order[k] for k in other.order), signs)  # type: ignore[arg-type]

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit: across the plane of a mirror."""
        point = np.array([[1.0, 2.0, 3.0]])
        return unit((point - self.move(point))[0])

    def move(self, points: np.ndarray) -> np.ndarray:
        """Where points or directions (P, 3) get to."""
        return points[:, list(self.order)] * np.float32(self.signs)

    def move_surfels(self, surfels: Surfels) -> Surfels:
        """Surfels, of the same look, where they get to."""
        return replace(surfels, position=self.move(surfels.position), normal=self.move(surfels.normal),
                       shading_normal=self.move(surfels.shading_normal))

    def fetch(self, grid: np.ndarray) -> np.ndarray:
        """(R, R, R): what a grid (R, R, R) has where each cell gets to."""
        flipped = np.flip(grid, [axis for axis in range(3) if self.signs[axis] < 0])
        return flipped.transpose(np.argsort(self.order))

    def find_twins(self, inside: np.ndarray) -> np.ndarray:
        """(P,) the rows of where the cells numbered inside (P,) of 128^3 get to, which all are inside, too."""
        cells = np.stack(np.unravel_index(inside, (SURFEL_RESOLUTION,) * 3), 1)[:, list(self.order)]
        cells = np.where(np.array(self.signs) < 0, SURFEL_RESOLUTION - 1 - cells, cells)
        return np.searchsorted(inside, np.ravel_multi_index(tuple(cells.T), (SURFEL_RESOLUTION,) * 3))


LEFT_RIGHT, FRONT_BACK, TOP_BOTTOM = Movement(signs=(-1, 1, 1)), Movement(signs=(1, -1, 1)), Movement(signs=(1, 1, -1))
DIAGONAL = Movement(order=(1, 0, 2))  # of what is as wide as deep, as round things are
MIRRORS = (LEFT_RIGHT, FRONT_BACK, TOP_BOTTOM, DIAGONAL)


def list_movements(mirrors: Sequence[Movement]) -> list[Movement]:
    """All movements that mirrors and mirrors of these are together, the one that moves nothing first."""
    found = [Movement()]
    for movement in found:  # grows
        found += [new for mirror in mirrors if (new := movement.then(mirror)) not in found]
    return found


def find_mirrors(is_own: Callable[[Movement, tuple[Movement, ...]], bool], known: tuple[Movement, ...] = ()
                 ) -> tuple[Movement, ...]:
    """The mirrors of something, those known first. is_own: whether it is its own image in a mirror, beside those that
    were found. What is not both, left and right and front and back, is not asked whether it is as wide as deep."""
    for mirror in MIRRORS:
        round_about = {LEFT_RIGHT, FRONT_BACK} <= set(known)
        if mirror not in known and (mirror != DIAGONAL or round_about) and is_own(mirror, known):
            known = (*known, mirror)
    return known


def average_twins(grid: np.ndarray, mirrors: Sequence[Movement]) -> np.ndarray:
    """A grid (R, R, R), as much its own mirror images."""
    for mirror in mirrors:
        grid = (grid + mirror.fetch(grid)) / 2
    return grid


def carve_twins(hull: np.ndarray, mirrors: Sequence[Movement]) -> np.ndarray:
    """A hull (R, R, R), carved by the outlines' mirror images as well."""
    for mirror in mirrors:
        hull = np.minimum(hull, mirror.fetch(hull))
    return hull


def measure_asymmetry(surfels: Surfels, mirror: Movement = LEFT_RIGHT) -> float:
    """The share of surfels whose mirror images have no others around them."""
    voxel = lambda points: np.clip((points + 0.5) * RESOLUTION, 0, RESOLUTION - 1).astype(int)
    filled = np.zeros((RESOLUTION,) * 3, bool)
    filled[tuple(voxel(surfels.position).T)] = True
    return 1 - float(local_maximum(filled, 1)[tuple(voxel(mirror.move(surfels.position)).T)].mean())
