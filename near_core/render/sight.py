"""What of a scene can be in a picture, and in how much detail: by where instances are and how large they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..asset import CELL, RESOLUTION, NeuralAsset
from ..asset.levels import LEVELS
from ..asset.surfels import SURFEL_RESOLUTION
from ..scene import Camera, Instance, Lamp
from .config import SplattingConfig

SURFELS = 3.5  # of level 0, about, for each voxel


@dataclass(frozen=True, eq=False)
class SeenInstance:
    """An instance, at one level of detail, that may be in a picture. number: among the instances that were asked for.
    matrix: (4, 4) float64. share: 0..1 of its opacity; another level of the same instance has the rest. pixels: how
    wide a cell of level 0 is. exact: the level, in fractions, that would just do. skin: 0..1 of what is shown by the
    asset's skin instead."""

    number: int
    instance: Instance
    matrix: np.ndarray
    level: int
    share: float
    pixels: float
    exact: float = 0.0
    skin: float = 0.0


@dataclass(frozen=True, eq=False)
class StandingInstances:
    """Those of some instances that a finite, invertible matrix places, I of them.

    instances: all. rows: (I,) int, which of them these are. matrices: (I, 4, 4) float64. center (I, 3), radius (I,):
    spheres around them, metres, world. scale: (I,), the most that an asset unit becomes, metres. casts: (I,) bool,
    which cast shadows.
    """

    instances: Sequence[Instance]
    rows: np.ndarray
    matrices: np.ndarray
    center: np.ndarray
    radius: np.ndarray
    scale: np.ndarray
    casts: np.ndarray

    def find_casters(self, number: int, lamp: Lamp) -> list[int]:
        """Rows of those that may stand between the instance of that number and a lamp."""
        place = int(np.searchsorted(self.rows, number))
        start, matrix = self.center[place], np.asarray(lamp.matrix, np.float64)
        reach = np.inf if lamp.kind == "sun" else np.linalg.norm(matrix[:3, 3] - start)
        along = matrix[:3, 2] if lamp.kind == "sun" else (matrix[:3, 3] - start) / max(reach, 1e-12)
        along = along / max(np.linalg.norm(along), 1e-12)
        at = np.clip((self.center - start) @ along, 0, reach)
        apart = np.linalg.norm(self.center - start - at[:, None] * along, axis=1)
        # from the instance's sphere to the lamp's, or to the sun's cone
        if lamp.kind == "sun":
            wide = at * np.tan(min(lamp.angle, 3.0) / 2)
        else:
            wide = lamp.radius + (lamp.kind == "area") * np.linalg.norm(matrix[:3, :3]) * max(lamp.size)
        between = self.casts & (apart <= self.radius + self.radius[place] + wide)
        between[place] = False
        return np.flatnonzero(between).tolist()


def find_standing(instances: Sequence[Instance]) -> StandingInstances:
    """Those that a finite, invertible matrix places and that are not faded away, and how much room they take."""
    matrices = np.array([np.asarray(each.matrix, np.float64) for each in instances]).reshape(-1, 4, 4)
    with np.errstate(all="ignore"):
        usable = np.isfinite(matrices).all((1, 2)) & (np.abs(np.linalg.det(matrices[:, :3, :3])) >= 1e-18)
    usable &= np.array([each.look.opacity > 0 for each in instances], bool)
    rows, matrices = np.flatnonzero(usable), matrices[usable]
    assets = {id(each.asset): each.asset for each in instances}
    spheres = {key: _bound(asset) for key, asset in assets.items()}
    sphere = np.array([spheres[id(instances[row].asset)] for row in rows]).reshape(-1, 4)
    center = np.einsum("nij,nj->ni", matrices[:, :3, :3], sphere[:, :3]) + matrices[:, :3, 3]
    scale = np.linalg.norm(matrices[:, :3, :3], ord=2, axis=(1, 2))  # the most that any direction grows
    casts = np.array([instances[row].shadow for row in rows], bool)
    return StandingInstances(instances, rows, matrices, center, sphere[:, 3] * scale, scale, casts)


def find_seen(instances: Sequence[Instance], camera: Camera, quality: str, config: SplattingConfig = SplattingConfig(),
              coarseness: float = 1.0, standing: StandingInstances | None = None) -> list[SeenInstance]:
    """The instances that may be in a picture, once for every level that they are drawn at.

    Left out is what lies outside the picture, and what no finite, invertible matrix places. quality: as
    scene.Settings.quality. coarseness: as scene.Settings.coarseness, as far as it leaves assets their shape. standing:
    of the instances, where that is known.
    """
    standing = standing or find_standing(instances)
    rows, matrices, center, radius = standing.rows, standing.matrices, standing.center, standing.radius
    inside = np.flatnonzero(may_see(camera, center, radius, config.margin))
    pixels = measure_cells(camera, center, radius, standing.scale)[inside]
    widest = config.final_cell if quality == "final" else config.draft_cell
    seen = []
    for place, size, wide in zip(inside, pixels, _choose_widths(
            pixels, [instances[rows[place]].asset for place in inside], widest, coarseness, config)):
        for level, share in choose_levels(float(size), wide, config):
            number = int(rows[place])
            seen.append(SeenInstance(number, instances[number], matrices[place], level, share, float(size),
                                     measure_level(float(size), wide)))
    return seen


def _choose_widths(pixels: np.ndarray, assets: Sequence[NeuralAsset], widest: float, coarseness: float,
                   config: SplattingConfig) -> np.ndarray:
    """How many pixels wide the cells of each of S assets may be, (S,). pixels: (S,), how wide those of level 0 are."""
    voxels = np.array([len(asset.coords) for asset in assets])
    plain = limit_surfels(pixels, voxels, widest, config.many_surfels)
    if coarseness <= 1 or not len(pixels):
        return np.full(len(pixels), plain)
    across = {id(asset): SURFEL_RESOLUTION / RESOLUTION * np.ptp(asset.box, 0).max() for asset in assets}
    share = config.least_cells / np.array([across[id(asset)] for asset in assets])
    shaped = pixels / share * limit_surfels(share, voxels, 1.0, config.few_surfels)
    return np.minimum(limit_surfels(pixels, voxels, widest * coarseness, config.many_surfels),
                      np.maximum(plain, shaped))


def _bound(asset: NeuralAsset) -> tuple[float, float, float, float]:
    """A sphere around voxels, with room for the discs at their edge: centre and radius, asset units."""
    low, high = asset.box / RESOLUTION - 0.5
    return (*((low + high) / 2), float(np.linalg.norm(high - low) / 2 + 4 * CELL))


def may_see(camera: Camera, center: np.ndarray, radius: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """Which spheres (N, 3), (N,) of the world may touch the picture or margin pixels around it. (N,) bool."""
    x, y, z = (center @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]).T
    seen = (z + radius >= camera.near) & (z - radius <= camera.far)
    for axis, at, size in ((0, x, camera.width), (1, y, camera.height)):
        focal, middle = camera.intrinsics[axis, axis], camera.intrinsics[axis, 2]
        low, high = (-margin - middle) / focal, (size + margin - middle) / focal
        if camera.orthographic:
            seen &= (at + radius >= low) & (at - radius <= high)
        else:  # the planes through the eye and the picture's edges
            seen &= (low * z - at <= radius * np.hypot(1, low)) & (at - high * z <= radius * np.hypot(1, high))
    return seen


def measure_cells(camera: Camera, center: np.ndarray, radius: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """How many pixels a cell of level 0 is wide where spheres (N, 3), (N,) are nearest; scale: (N,) metres per asset
    unit. (N,), infinite where the camera is among them."""
    focal = np.sqrt(camera.intrinsics[0, 0] * camera.intrinsics[1, 1])
    if camera.orthographic:
        return scale * CELL * focal
    z = center @ camera.world_to_camera[2, :3] + camera.world_to_camera[2, 3] - radius
    with np.errstate(divide="ignore"):
        return np.where(z > camera.near, scale * CELL * focal / np.maximum(z, 1e-30), np.inf)


def limit_surfels(pixels: np.ndarray, voxels: np.ndarray, widest: float, most: float) -> float:
    """How many pixels wide cells may be, `widest` unless instances of so many voxels (N,) would have more than `most`
    surfels in all. pixels: (N,), how wide their cells of level 0 are. It changes smoothly with them."""
    count = lambda cell: (SURFELS * voxels * np.minimum(1, (pixels / cell) ** 2)).sum()
    low = high = widest
    while count(high) > most and high < 1e6:
        low, high = high, 2 * high
    for _ in range(20 if high > low else 0):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if count(middle) > most else (low, middle)
    return float(high)


def measure_level(pixels: float, widest: float) -> float:
    """The level, in fractions, whose cells are as wide as they may be; as choose_levels takes them."""
    return float(np.log2(widest / np.clip(pixels, 1e-9, 1e9)))


def choose_levels(pixels: float, widest: float, config: SplattingConfig = SplattingConfig()
                  ) -> list[tuple[int, float]]:
    """Levels of detail and the shares of opacity they are drawn with, which sum to 1.

    pixels: how wide a cell of level 0 is. widest: how wide cells may be; the coarsest level is taken that keeps to it.
    Just past the size where it begins, the finer one fades.
    """
    exact = measure_level(pixels, widest)
    if exact > config.late_level:  # what is merged so far swells, so smaller cells do as long as they are seen
        exact = max(exact - config.late, config.late_level - 1e-6)
    level = int(np.clip(np.floor(exact), 0, LEVELS - 1))
    faded = (exact - level) / config.fade
    if level == 0 or faded >= 1:
        return [(level, 1.0)]
    # Whole, a disc lets q of the light through. Of two that share its opacity, q ** u and q ** (1 - u), now the one and
    # now the other lies in front: in the mean the coarser shows (q ** u + 1 - q ** (1 - u)) / 2.
    shown, q = 2 * faded * faded * (3 - 2 * faded) - 1, 1 - config.opacity
    finer = float(np.clip(np.log((shown + np.sqrt(shown * shown + 4 * q)) / 2) / np.log(q), 0, 1))
    return [each for each in ((level, 1 - finer), (level - 1, finer)) if each[1] > 0]
