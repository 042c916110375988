"""Light from near by: a probe's panorama, looked up from where each ray leaves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._kernels import around, ggx
from ..image import luminance
from ..scene import Environment, Probe


@dataclass(frozen=True, eq=False)
class NearLayer:
    """What is around, None where nothing is near, and what is behind it. level: whether what mirrors below is level, as
    a floor or a table."""

    around: around.Around | None  # type: ignore[name-defined]  # the module, not the field
    far: ggx.Pyramid
    level: bool = False

    def move(self, place: np.ndarray) -> NearLayer:
        """The same for rays of another frame. place: (3, 4), their origins -> metres from the probe, world's axes."""
        return NearLayer(self.around and self.around.move(place), self.far, self.level)


@dataclass(frozen=True, eq=False)
class NearLight:
    """A probe made ready, along the world's axes: as it is, without its spots, and without its suns, as the pyramids of
    transport.PreparedLight. position: (3,) float64, metres, world, from which it was taken. free: (H, 2H) float32, the
    share of each direction in which nothing is near."""

    position: np.ndarray
    whole: NearLayer
    base: NearLayer
    sky: NearLayer
    free: np.ndarray

    @cached_property
    def _openness(self) -> ggx.Pyramid:
        free = np.repeat(self.free[..., None], 3, -1)
        return ggx.make_single_level(ggx.integrate_irradiance(free) / np.float32(np.pi))

    def find_openness(self, normal: np.ndarray) -> np.ndarray:
        """How much of a sky would arrive past what is near, (K,) 0..1, by normals (K, 3) float32, world."""
        return self._openness.sample(normal, np.zeros(len(normal), np.float32), threads=1)[:, 0]

    def find_buried(self, position: np.ndarray, matrix: np.ndarray, least: float) -> np.ndarray:
        """How much of what lies at positions (K, 3) of an asset that stands at matrix (4, 4) is behind what the probe
        shows, below the ground say. (K,) float32, 0..1. least: times as far as this it has to be."""
        place = self.place(matrix).astype(np.float32)
        away = position @ place[:, :3].T + place[:, 3]
        distance = np.maximum(np.sqrt(np.einsum("kc,kc->k", away, away)), 1e-9)
        shown = self.whole.around.depth.sample(np.ascontiguousarray(away / distance[:, None]),
                                               np.zeros(len(away), np.float32), threads=1)
        return shown[:, 1] * (distance * shown[:, 0] > np.float32(least) * shown[:, 1])

    def place(self, matrix: np.ndarray) -> np.ndarray:
        """(3, 4), places of an asset that stands at matrix (4, 4) -> metres from the probe."""
        placed = np.asarray(matrix, np.float64)[:3].copy()
        placed[:, 3] -= self.position
        return placed


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A World behind what is near, the same for all probes. environment: along the world's axes, at strength 1, as fine
    as maps composed with it. pyramid: of its map."""

    environment: Environment
    pyramid: ggx.Pyramid


def prepare_backdrop(environment: Environment, columns: int) -> Backdrop:
    """columns: of its map."""
    turned = Environment(environment.look_up(ggx.compute_directions(columns // 2)))
    return Backdrop(turned, ggx.build_pyramid(turned.map))


def prepare(probe: Probe, behind: Backdrop, spot_limit: float, sun_limit: float, reach: float) -> NearLight:
    """spot_limit, sun_limit: luminance above which something is a spot or a sun, infinite where there are none. reach:
    metres within which something is near.

    Only the whole of it shows mirrors as they are: wide lobes see in them what matt surfaces do, since Cycles' filter
    goes by how likely it is that a surface sends a ray so, by any of its lobes.
    """
    world, place, soft = behind.environment.map, np.eye(3, 4), probe.soften()
    level = _is_level(probe)
    whole = NearLayer(around.prepare(probe.radiance, probe.distance, place, probe.mirrored), behind.pyramid, level)

    def dim(limit: float) -> NearLayer:
        near, far = soft.radiance, behind.pyramid
        if np.isfinite(limit):
            near = np.concatenate([_limit(near[..., :3], limit), near[..., 3:]], -1)
            far = ggx.build_pyramid(_limit(world, limit))
        elif soft is probe:
            return whole
        return NearLayer(around.prepare(near, probe.distance, place, probe.mirrored), far, level)

    free = 1 - probe.radiance[..., 3] * (probe.distance < reach)
    return NearLight(np.asarray(probe.position, np.float64), whole, dim(spot_limit), dim(sun_limit),
                     free.astype(np.float32))


def _is_level(probe: Probe) -> bool:
    """Whether most of what mirrors below a probe lies in one level plane."""
    if probe.mirrored is None:
        return False
    rows = len(probe.distance)
    down = -ggx.compute_directions(rows)[rows // 2:, :, 2]
    depth = down * np.nan_to_num(probe.distance[rows // 2:], posinf=0)
    shown = luminance(probe.radiance[rows // 2:, :, :3]) * probe.mirrored[rows // 2:]
    weight = (shown * down * (depth > 0)).ravel()
    if not weight.any():
        return False
    middle = np.average(depth.ravel(), weights=weight)
    return bool(weight[abs(depth.ravel() - middle) < 0.1 * middle].sum() > 0.7 * weight.sum())


def _limit(map: np.ndarray, limit: float) -> np.ndarray:
    return map * np.minimum(1, limit / np.maximum(luminance(map), 1e-9))[..., None]
