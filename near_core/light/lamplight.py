"""An asset in the light of lamps, and of what it emits itself: what arrives at its surfels, and what they mirror."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .._kernels import lamps as _kernels
from ..asset import CELL, Surfels
from ..scene import Lamp, Occluders
from . import lamps as _lamps
from .config import LampConfig
from .lamps import LampPoints
from .patterns import tint
from .shadows import Feet, Surroundings, see_lamp_from_points
from .transport import Transport

AT_ONCE = 32768  # surfels that look at a lamp together


@dataclass(frozen=True, eq=False)
class LampLight:
    """What lamps send to M surfels, L lamps of them traced.

    open, direct: (M, 3) float32 irradiance, with nothing in the way and as it arrives. bounced: (M, 3), from other
    surfels, what these emit among it. radiosity: (M, 4) RGB0, as transport.Illumination, and what is emitted. points:
    the traced lamps; lit: (M, L) float32, the share of each that arrives. sharp: points that rays from a skin go to,
    None of lamps without edges as fine. config: how they were traced.
    """

    open: np.ndarray
    direct: np.ndarray
    bounced: np.ndarray
    radiosity: np.ndarray
    points: tuple[LampPoints, ...]
    lit: np.ndarray
    sharp: tuple[LampPoints | None, ...]
    config: LampConfig


@dataclass(frozen=True, eq=False)
class LampReach:
    """One lamp on M surfels. arrives: (M,) float32 irradiance over its color with nothing in the way; tint: (M, 3) or
    (1, 3) float32, as patterns.tint; share: (M,) float32, how much of it arrives."""

    points: LampPoints
    arrives: np.ndarray
    tint: np.ndarray
    share: np.ndarray


@dataclass(frozen=True, eq=False)
class _Receiver:
    """An asset that stands in the light of lamps. matrix: (4, 4), asset frame -> world. position, normal: (M, 3)
    float32, its surfels in the world. around: what casts shadows on it."""

    transport: Transport
    matrix: np.ndarray
    position: np.ndarray
    normal: np.ndarray
    around: Surroundings


def _make(_: Lamp, __: int, make: Callable[[], LampReach]) -> LampReach:
    return make()


def illuminate(transport: Transport, lamps: Sequence[Lamp], matrix: np.ndarray, rotation: np.ndarray,
               around: Surroundings = Surroundings(), config: LampConfig = LampConfig(), threads: int = 0,
               recall: Callable[[Lamp, int, Callable[[], LampReach]], LampReach] = _make, bounces: int = 4
               ) -> LampLight | None:
    """Light of lamps, and of what glows of it, on an asset that stands at matrix (4, 4); None where there is none.
    rotation: (3, 3), the one in matrix. recall: says what is known of a lamp with so many rays along its edge, or makes
    it. bounces: as scene.Settings has them."""
    emission = transport.surfels.emission
    if not lamps and emission is None:
        return None
    receiver = _Receiver(
        transport, matrix,
        transport.surfels.position @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32),
        transport.surfels.shading_normal @ rotation.T.astype(np.float32), around)
    opened, direct = np.zeros((2, len(transport.surfels), 3), np.float32)
    shares = _lamps.measure_shares(lamps, matrix[:3, 3], config.dark, float(np.linalg.norm(matrix[:3, :3], 2)) / 2)
    sides = [_count_rays(lamp, share, matrix, config) for lamp, share in zip(lamps, shares)]
    reaches = [recall(lamp, side, partial(_reach, receiver, lamp, side, config, threads))
               for lamp, side in zip(lamps, sides)]
    for lamp, reach in zip(lamps, reaches):
        color = (lamp.color * lamp.diffuse).astype(np.float32) * reach.tint
        opened += reach.arrives[:, None] * color
        direct += (reach.arrives * reach.share)[:, None] * color
    if emission is None:
        bounced, radiosity = transport.bounce(direct, bounces, threads)
    else:
        received = transport.receive(emission, threads)
        bounced, radiosity = transport.bounce(direct + received, bounces, threads)
        bounced += received
        radiosity[:, :3] += emission
    lit = np.stack([reach.share for reach in reaches], 1) if reaches else np.empty((len(opened), 0), np.float32)
    return LampLight(opened, direct, bounced, radiosity, tuple(reach.points for reach in reaches), lit,
                     tuple(_sample_sharp(lamp, matrix, config) for lamp in lamps), config)


def _sample_sharp(lamp: Lamp, matrix: np.ndarray, config: LampConfig) -> LampPoints | None:
    middle, reach = matrix[:3, 3], float(np.linalg.norm(matrix[:3, :3], 2)) / 2
    if not lamp.shadow or _lamps.measure_width(lamp, middle, reach) > config.sharp_angle:
        return None
    side = max(_lamps.count_sides(lamp, middle, reach, config.sharp_ray_angle, config.sharp_sides), 2)
    return _lamps.sample(lamp, middle, side, sheared=True)


def _count_rays(lamp: Lamp, share: float, matrix: np.ndarray, config: LampConfig) -> int:
    """Rays of a surfel along a lamp's edge. share: 0..1, of the light of all lamps.

    A share's noise falls with the power 1.5 of them. Fewer by the cube root of their shares make that of all lamps
    together as little as one lamp's alone.
    """
    side = _lamps.count_sides(lamp, matrix[:3, 3], float(np.linalg.norm(matrix[:3, :3], 2)) / 2, config.ray_angle,
                              config.sides)
    return min(max(side, 2), math.ceil(config.sides * share ** (1 / 3) - 1e-6) or 1)


def _reach(receiver: _Receiver, lamp: Lamp, side: int, config: LampConfig, threads: int) -> LampReach:
    matrix, position = receiver.matrix, receiver.position
    middle, size = matrix[:3, 3], float(np.linalg.norm(matrix[:3, :3], 2)) / 2
    points = _lamps.sample(lamp, middle, _lamps.count_sides(lamp, middle, size, config.point_angle, config.sides))
    arrives = _kernels.light(points.kernel, position, receiver.normal, threads=threads)
    share = np.ones_like(arrives)
    if lamp.shadow:
        for rows in np.array_split(np.arange(len(position)), -(-len(position) // AT_ONCE)):
            share[rows] = _trace(receiver, lamp, side, rows, config, threads)
    return LampReach(points, arrives, tint(lamp, points.position, position), share)


def _trace(receiver: _Receiver, lamp: Lamp, side: int, index: np.ndarray, config: LampConfig, threads: int
           ) -> np.ndarray:
    """The share of a lamp's light that arrives at surfels at index (K,), (K,) float32. Neighbours look at other points
    of it."""
    matrix, lattice, around = receiver.matrix, receiver.transport.traced, receiver.around
    points = _lamps.sample(lamp, matrix[:3, 3], side * config.patterns)
    origin, others = receiver.transport.find_origins(index), around.has_others(lamp)
    rays = _kernels.trace(lattice, points.kernel, side if len(points) > 1 else 1, index.astype(np.int32), origin,
                          receiver.position[index], receiver.normal[index], np.linalg.inv(matrix[:3, :3]),
                          own=around.shadows_itself(lamp), kept=others, threads=threads)
    left = np.flatnonzero(rays.weight)
    if not others or not len(left):
        return rays.share
    start = lattice.position.take(origin, 0) + lattice.normal.take(origin, 0) * np.float32(lattice.lift * lattice.cell)
    start = start @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)
    seen = rays.weight.copy()
    seen.ravel()[left] *= ~around.block(lamp, start.take(left // seen.shape[1], 0),
                                        rays.direction.reshape(-1, 3).take(left, 0), rays.distance.take(left))
    return rays.share * seen.sum(1) / np.maximum(rays.weight.sum(1), 1e-20)


def sharpen(light: LampLight, points: Surfels, arrives: np.ndarray, matrix: np.ndarray, rotation: np.ndarray,
            skin: Occluders, feet: Feet, around: Surroundings) -> np.ndarray:
    """How much of each traced lamp arrives at K points of a skin, (K, L) float32, where the surfels around them say
    `arrives`: small lamps cast shadows with edges finer than surfels, so rays are traced from the points themselves.

    skin: its triangles, asset frame. feet: where the points touch them.
    """
    if not skin.are_traced:
        return arrives
    made, rounded, config = arrives.copy(), feet.rounded, light.config
    position = points.position @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)
    plane, normal = (each @ rotation.T.astype(np.float32) for each in (points.normal, points.shading_normal))
    for number, samples in enumerate(light.sharp):
        if samples is None:
            continue
        lamp = samples.lamp
        # where all surfels around agree there is no edge, but for that of light along the surface, which they miss
        weight, direction, distance = _kernels.ask(
            samples.kernel, position, plane, normal, np.ascontiguousarray(arrives[:, number]), rounded,
            config.least_cosine, config.least_edge, threads=1)
        row, point = np.nonzero(weight)
        seen = np.zeros(weight.shape, np.float32)
        seen[row, point] = see_lamp_from_points(
            lamp, skin, matrix, feet, row, direction[row, point], distance[row, point], config.lift * CELL, around)
        asked = np.flatnonzero(weight.any(1))
        made[asked, number] = (seen[asked] * weight[asked]).sum(1) / weight[asked].sum(1)
    return made


def light_points(light: LampLight, points: Surfels, arrives: np.ndarray, view: np.ndarray, matrix: np.ndarray,
                 rotation: np.ndarray, least_roughness: float) -> tuple[np.ndarray, np.ndarray]:
    """What comes of the traced lamps to K points of an asset, with nothing in the way and as much of each as arrives
    (K, L): irradiance (2, K, 3), and what is mirrored towards view (K, 3), asset frame, (2, K, 2, 3) for F0 and F90."""
    position = points.position @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)
    turn, count = rotation.T.astype(np.float32), len(points)
    normal, view = points.shading_normal @ turn, view @ turn
    irradiance, mirrored = np.zeros((2, count, 3), np.float32), np.zeros((2, count, 2, 3), np.float32)
    for whole, share in zip(light.points, arrives.T):
        lamp = whole.lamp
        sent, glare = _kernels.mirror(whole.kernel, position, normal, view, points.roughness, least_roughness,
                                      threads=1)
        color = lamp.color.astype(np.float32) * tint(lamp, whole.position, position)
        colored = sent[:, None] * color * np.float32(lamp.diffuse)
        shining = glare[..., None] * color[:, None] * np.float32(lamp.specular)
        for sums, each in ((irradiance, colored), (mirrored, shining)):
            sums[0] += each
            sums[1] += each * share.reshape(-1, *(1,) * (each.ndim - 1))
    return irradiance, mirrored
