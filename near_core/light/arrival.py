"""What arrives at points on a skin and what they mirror of it, and what they send to the camera."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from .._kernels import specular
from ..asset import Surfels
from . import lamplight, principled
from .config import TransportConfig
from .near import NearLayer
from .points import LitSurface, MetPoints, ToldColumn
from .terms import Shaded, add_mirrored, find_wide, mirror_spots, pick_rows


class _Arrived:
    """Columns of what arrives at points and is mirrored there, as light_points makes it."""

    VISIBILITY, BLOCKED, IRRADIANCE, SPECULAR = 0, 1, slice(2, 11), slice(11, 23)
    LAMPS, LAMPS_SPECULAR = slice(23, 32), slice(32, 44)


def light_points(lit: LitSurface, met: MetPoints) -> Callable[[np.ndarray], np.ndarray]:
    """What arrives at points and what they mirror of it, (K, C) float32, as _Arrived: the last ones under lamps alone;
    once somebody says what they mirror of the asset, (K, 7 or 13), as mirror_asset makes it."""
    (opened, glare), irradiance = _reflect_map(lit, met), _find_irradiance(lit, met)
    by_lamps = None if lit.lamps is None else _light_by_lamps(lit, met)

    def arrive(mirrored: np.ndarray) -> np.ndarray:
        parts = [met.told[:, ToldColumn.VISIBILITY, None], mirrored[:, 6:7], irradiance.reshape(-1, 9),
                 add_mirrored(opened, glare, mirrored).reshape(-1, 12)]
        if by_lamps is not None:
            open_lamps, arrives = by_lamps[1]
            among = arrives + mirrored[:, 7:].reshape(-1, 2, 3)
            parts += [by_lamps[0].reshape(-1, 9), np.stack([open_lamps, among], 1).reshape(-1, 12)]
        return np.concatenate(parts, 1, dtype=np.float32)

    return arrive


def shade_points(points: Surfels, view: np.ndarray, arrived: np.ndarray) -> tuple[Shaded, np.ndarray | None]:
    """Points as terms.shade does surfels; and the lamps' terms as terms.shade_lamps, None without.

    view: (K, 3) unit, asset frame, to the camera. arrived: (K, C), as light_points makes it. index of what returns is
    -1: points have no surfel of their own.
    """
    cosine = np.clip(np.einsum("kc,kc->k", points.shading_normal, view), 1e-3, 1)

    def evaluate(irradiance: slice, specular: slice) -> np.ndarray:
        return principled.evaluate(points.base_color, points.roughness, points.metallic, cosine,
                                   arrived[:, irradiance].reshape(-1, 3, 3), arrived[:, specular].reshape(-1, 2, 2, 3))

    shaded = Shaded(points, np.full(len(points), -1), view, evaluate(_Arrived.IRRADIANCE, _Arrived.SPECULAR),
                    arrived[:, _Arrived.BLOCKED], arrived[:, _Arrived.VISIBILITY])
    if arrived.shape[1] <= _Arrived.LAMPS.start:
        return shaded, None
    return shaded, evaluate(_Arrived.LAMPS, _Arrived.LAMPS_SPECULAR)


def _find_irradiance(lit: LitSurface, met: MetPoints) -> np.ndarray:
    """Of the whole map, of what is seen of it, bounced. (K, 3, 3)."""
    light, told, arrives, spots = lit.light, met.told, met.arrives, met.arrives.shape[1]
    normal = met.points.shading_normal @ light.asset_to_map(lit.rotation).T.astype(np.float32)
    whole = opened = light.base_irradiance.sample(normal, np.zeros(len(normal), np.float32), threads=1)
    direct = np.zeros_like(whole)
    if spots:
        cosine, weight = np.maximum(normal @ light.suns[-spots:].T, 0), light.sun_weight[-spots:]
        whole, direct = opened + cosine @ weight, (arrives * cosine) @ weight
    # a bent normal sees more or less of the sky than the surfels around do in the mean
    bend = np.clip(opened / np.maximum(told[:, ToldColumn.OPEN], 1e-6), 0, lit.transport.config.greatest_bend)
    return np.stack([whole, direct + told[:, ToldColumn.DIRECT] * bend, told[:, ToldColumn.BOUNCED]], 1)


def _reflect_map(lit: LitSurface, met: MetPoints) -> tuple[np.ndarray, np.ndarray]:
    """What points reflect of the open map, (K, 2, 3) for F0 and F90; and likewise of its spots where rays do not find
    them, all of them and as far as they arrive, (2, K, 2, 3)."""
    light, config, points, view, count = lit.light, lit.transport.config, met.points, met.view, len(met.points)
    turn = light.asset_to_map(lit.rotation).astype(np.float32)
    wide = _find_wide(met, config) if met.arrives.shape[1] else np.zeros(count, np.float32)
    rays = config.point_rays if light.near is None else config.probe_rays
    asked = pick_rows(~met.alike)
    part, towards, share = points.take(asked), np.ascontiguousarray(view[asked]), wide[asked]
    key = np.full(len(part), config.even_key, np.int32)  # the same rays for all points: no noise between neighbours
    fewer = np.minimum(met.fewer[asked], config.open_halvings if light.near is None else 0)  # probes have few already

    def reflect(layer: NearLayer, rows: np.ndarray | slice) -> np.ndarray:
        some = part.take(rows)
        return specular.reflect(layer.far, some.normal, towards[rows], some.shading_normal, some.roughness, key[rows],
                                turn, around=layer.around, origin=some.position, rays=rays, fewer=fewer[rows],
                                threads=1)

    opened = np.zeros((len(part), 2, 3), np.float32)
    for weight, layer in ((1 - share, light.choose("whole", lit.matrix)), (share, light.choose("base", lit.matrix))):
        rows = pick_rows(weight > 0)
        if isinstance(rows, slice) or len(rows):
            opened[rows] += weight[rows, None, None] * reflect(layer, rows)
    if met.alike.any():
        place = np.cumsum(~met.alike) - 1
        opened = opened.take(np.where(met.alike, place.take(met.lead), place), 0)
    return opened, _mirror_spots(lit, met, wide)


def _find_wide(met: MetPoints, config: TransportConfig) -> np.ndarray:
    """As terms.find_wide of points, (K,): rays miss spots in narrow highlights, too."""
    wide = find_wide(met.points.roughness, config)
    if met.narrow is not None:
        wide[met.narrow.rows] = np.maximum(wide[met.narrow.rows], np.minimum(config.narrow_times * met.narrow.share, 1))
    return wide


def _mirror_spots(lit: LitSurface, met: MetPoints, wide: np.ndarray) -> np.ndarray:
    """What points mirror of a map's spots, all of them and as far as they arrive, times wide (K,): (2, K, 2, 3) for F0
    and F90."""
    arrives = met.arrives
    light, config, narrow = lit.light, lit.transport.config, met.narrow
    turn, made = light.asset_to_map(lit.rotation).astype(np.float32), np.zeros((2, len(wide), 2, 3), np.float32)
    rows = pick_rows(wide > 0)
    if not arrives.shape[1] or not len(part := met.points.take(rows)):
        return made

    def mirror(part: Surfels, rows: np.ndarray | slice, limit: float) -> np.ndarray:
        return np.stack(mirror_spots(light, turn, part, met.view[rows], arrives[rows], config, limit))

    made[:, rows] = mirror(part, rows, config.point_glare)
    if narrow is not None:
        made[:, narrow.rows] = narrow.average(partial(mirror, limit=config.part_glare))
    between = np.flatnonzero((wide > 0) & (wide < 1))
    made[:, between] *= wide[between, None, None]
    return made


def _light_by_lamps(lit: LitSurface, met: MetPoints) -> tuple[np.ndarray, np.ndarray]:
    """The irradiance of lamps, open, direct and bounced, (K, 3, 3), and what is reflected of them, open and as it
    arrives, (2, K, 2, 3)."""
    points, view, arrives = met.points, met.view, met.told[:, ToldColumn.SPOTS + met.arrives.shape[1]:]
    if lit.skin is not None and lit.lamps.points:
        arrives = lamplight.sharpen(lit.lamps, points, arrives, lit.matrix, lit.rotation, lit.skin, met.feet,
                                    lit.around)

    def light(part: Surfels, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        return lamplight.light_points(lit.lamps, part, arrives[rows], view[rows], lit.matrix, lit.rotation,
                                      lit.transport.config.spot_roughness)

    (opened, direct), mirrored = light(points, slice(None))
    if met.narrow is not None:
        mirrored[:, met.narrow.rows] = met.narrow.average(lambda part, rows: light(part, rows)[1])
    return np.stack([opened, direct, met.told[:, ToldColumn.LAMPS_BOUNCED]], 1), mirrored
