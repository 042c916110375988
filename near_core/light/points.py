"""Points between surfels, as fine as pixels: what arrives at them is what the surfels around say, and what they reflect
of the light itself is worked out for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from .._kernels import grid, specular
from ..asset import CELL, Surfels
from ..scene import Occluders
from . import highlights, principled, spots
from .config import TransportConfig
from .highlights import NarrowPoints
from .lamplight import LampLight
from .shadows import Feet, Surroundings
from .terms import find_pairs
from .transport import Illumination, PreparedLight, Transport


@dataclass(frozen=True, eq=False)
class LitSurface:
    """An asset under its light. matrix: (4, 4), rotation: (3, 3), asset frame -> world. lamps: or None. around: what
    casts shadows in their light. skin: the asset's triangles, asset frame, where points are to trace its shadows."""

    transport: Transport
    light: PreparedLight
    illumination: Illumination
    lamps: LampLight | None
    matrix: np.ndarray
    rotation: np.ndarray
    around: Surroundings = Surroundings()
    skin: Occluders | None = None

    @cached_property
    def spots(self) -> spots.SharpSpots:
        """The spots of its map whose shadows' edges its points ask for."""
        return spots.find(self.light, self.light.asset_to_map(self.rotation), self.transport.config)


@dataclass(frozen=True, eq=False)
class Told:
    """What the M surfels of an asset tell the points between them of its light, whatever the view. values: (M, C)
    float32, as ToldColumn, then which of a map's spots arrive, and how much of each lamp. share: (M,) float32, how much
    of each surfel counts."""

    values: np.ndarray
    share: np.ndarray


class ToldColumn:
    """Columns of Told.values."""

    OPEN, DIRECT, BOUNCED = slice(0, 3), slice(3, 6), slice(6, 9)  # irradiance, of the map; the first two without spots
    VISIBILITY = 9
    LAMPS_BOUNCED = slice(10, 13)  # irradiance
    SPOTS = 13


def tell(lit: LitSurface) -> Told:
    """What an asset's surfels tell of its light."""
    surfels, illumination, lamps = lit.transport.surfels, lit.illumination, lit.lamps
    values = [*_leave_out_spots(lit), illumination.bounced, illumination.visibility[:, None],
              np.zeros_like(illumination.bounced) if lamps is None else lamps.bounced]
    values += [] if illumination.lit is None else [illumination.lit]
    values += [] if lamps is None else [lamps.lit]
    # the dark inside of one part shall not show on another that goes into it, nor light below the ground above it
    hidden = lit.transport.enclosed
    if lit.light.near is not None:
        hidden = np.maximum(hidden, lit.light.near.find_buried(
            surfels.position, lit.matrix, lit.transport.config.buried))
    outside = 1 - np.float32(lit.transport.config.hidden) * hidden
    share = np.clip(surfels.area, 0.05, 1) * surfels.opacity * outside ** 4
    return Told(np.concatenate(values, 1, dtype=np.float32), np.ascontiguousarray(share))


def _leave_out_spots(lit: LitSurface) -> tuple[np.ndarray, np.ndarray]:
    """Illumination.open and .direct, (M, 3) float32 each, without the map's spots, whose cosine is each point's own."""
    light, illumination = lit.light, lit.illumination
    if illumination.lit is None:
        return illumination.open, illumination.direct
    turn = light.asset_to_map(lit.rotation).T.astype(np.float32)
    towards, weight = light.suns[-light.spots:], light.sun_weight[-light.spots:]
    cosine = np.maximum(lit.transport.surfels.shading_normal @ turn @ towards.T, 0)
    return (np.maximum(illumination.open - cosine @ weight, 0),
            np.maximum(illumination.direct - (cosine * illumination.lit) @ weight, 0))


@dataclass(frozen=True, eq=False, kw_only=True)
class PixelPoints:
    """K points on the surface of an asset that a picture shows, asset frame, normals on the side that is seen; their
    area counts for nothing. size: (K,) float32, a pixel's edge at each, asset units. find_feet: finds where they touch
    the skin. lead: (K,) int, the point that speaks for each, where several lie side by side on one surface, else
    itself; None where each speaks for itself. pattern: (K,) int32, which of spots.PATTERNS each one's rays have, None:
    the first. turned: (K,) float32, by how much normals turn within a pixel, as highlights.split takes it; None where
    they do not. stands: (K,) bool, which others lie between, None: none."""

    points: Surfels
    size: np.ndarray
    find_feet: Callable[[], Feet]
    lead: np.ndarray | None = None
    pattern: np.ndarray | None = None
    turned: np.ndarray | None = None
    stands: np.ndarray | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class MetPoints(PixelPoints):
    """Points, and what they were told. view: (K, 3) float32 unit, asset frame. told: (K, C) float32, what the surfels
    around say, as Told.values. arrives: (K, P) float32, how much of each of a map's spots does. fewer: (K,) uint8, how
    many times their rays are halved. alike: (K,) bool, which mirror what the point does that speaks for them, and
    follows: which of these send no rays to the asset. narrow: those whose highlights are finer than pixels."""

    view: np.ndarray
    told: np.ndarray
    arrives: np.ndarray
    fewer: np.ndarray
    alike: np.ndarray
    follows: np.ndarray
    narrow: NarrowPoints | None = None

    @cached_property
    def feet(self) -> Feet:
        """Where they touch the skin."""
        return self.find_feet()

    @property
    def mirrors_as(self) -> np.ndarray:
        """Which point each mirrors the asset as, (K,)."""
        own = np.arange(len(self.size))
        return own if self.lead is None else np.where(self.follows, self.lead, own)


def meet(lit: LitSurface, around: Told, seen: PixelPoints, view: np.ndarray, cut: bool = False,
         known: tuple[np.ndarray, np.ndarray] | None = None) -> MetPoints:
    """What the surfels around tell points. view: as in MetPoints. cut: whether the camera's clip start may cut the
    asset open: its inner side, which no surfel faces, is dark. known: of each of the P spots of LitSurface.spots,
    whether what arrives of it jumps between points around, (K, P) bool, and what lies between these, which holds where
    it does not; None where nobody knows."""
    config, points = lit.transport.config, seen.points
    blend = partial(grid.blend, lit.transport.grid, points.position, points.normal, share=around.share,
                    radius=config.blend_radius, step=config.blend_step, threads=1)
    told = blend(features=around.values)
    if cut:
        facing = np.einsum("kc,kc->k", points.normal, blend(features=lit.transport.surfels.normal))
        told[facing <= 0] = 0
    alike = _find_alike(points, seen.lead, config)
    dull = (seen.size < config.finest_pixel * CELL) & (points.metallic < config.dull_metallic)
    lamps = ToldColumn.SPOTS + (0 if lit.illumination.lit is None else lit.illumination.lit.shape[1])
    met = MetPoints(**vars(seen), view=view, told=told, arrives=told[:, ToldColumn.SPOTS:lamps],
                    fewer=_spare_rays(points, view, config), alike=alike, follows=alike & dull,
                    narrow=None if seen.turned is None else highlights.split(points, seen.turned, config))
    return replace(met, arrives=_sharpen(lit, met, known), find_feet=lambda: met.feet)


def find_even(points: Surfels, size: np.ndarray, turned: np.ndarray, config: TransportConfig) -> np.ndarray:
    """Which points what arrives at others may be interpolated between, (K,) bool: where pixels are small beside cells,
    and lobes not narrow. size: (K,) of a pixel's edge, asset units. turned: as highlights.split takes it."""
    return ((size < config.finest_pixel * CELL) & (points.roughness > config.even_roughness)
            & ~highlights.find_narrow(points.roughness, turned, config))


def find_edges(lit: LitSurface, met: MetPoints) -> tuple[np.ndarray, np.ndarray]:
    """What jumps between points where a shadow of one of a map's spots ends, and how much of it arrives, (K, P) float32
    each; P is 0 where points do not ask."""
    if lit.skin is None or not lit.skin.are_traced or not met.arrives.shape[1]:
        return (np.empty((len(met.size), 0), np.float32),) * 2
    cosine, arrives = met.points.shading_normal @ lit.spots.towards.T, met.arrives.take(lit.spots.number, 1)
    return np.maximum(cosine, 0) * arrives, arrives


def find_confidence(lit: LitSurface, points: Surfels) -> np.ndarray:
    """(K,) float32: how sure the surfels around points are, 0..1."""
    surfels = lit.transport.surfels
    if (surfels.confidence == 1).all():
        return points.confidence
    known, weight = (np.ascontiguousarray(values) for values in (surfels.confidence[:, None], surfels.opacity))
    return grid.blend(lit.transport.grid, points.position, points.normal, known, weight, threads=1)[:, 0]


def _spare_rays(points: Surfels, view: np.ndarray, config: TransportConfig) -> np.ndarray:
    """How many times the rays of points are halved, (K,) uint8: by what these mirror by Schlick's formula; once at most
    where it is so sharp that nothing averages their noise."""
    cosine = np.clip(np.einsum("kc,kc->k", points.shading_normal, view), 0, 1)
    brightest = np.maximum(np.maximum(*points.base_color.T[:2]), points.base_color[:, 2])
    own = principled.F0_DIELECTRIC + points.metallic * (brightest - principled.F0_DIELECTRIC)
    grazing = np.square(1 - cosine)  # numpy's power is slow
    mirrored, made = own + (1 - own) * grazing * grazing * (1 - cosine), np.zeros(len(points), np.uint8)
    for share in config.faint_shares:
        made += mirrored < share
    return np.where(points.roughness > config.narrow_roughness, made, np.minimum(made, 1))


def _find_alike(points: Surfels, lead: np.ndarray | None, config: TransportConfig) -> np.ndarray:
    """Points that another one speaks for, whose lobe is wide, too, and turned to nearly the same, (K,) bool: what one
    of them mirrors is what the other does."""
    if lead is None:
        return np.zeros(len(points), bool)
    wide = points.roughness >= config.narrow_roughness + 0.5 * config.narrow_fade
    apart = points.shading_normal - points.shading_normal.take(lead, 0)
    turned = np.einsum("kc,kc->k", apart, apart) >= config.alike_normal ** 2
    return ((lead != np.arange(len(lead))) & wide & wide[lead] & ~turned
            & (np.abs(points.roughness - points.roughness.take(lead)) < config.alike_roughness))


def _halve(met: MetPoints, config: TransportConfig) -> np.ndarray:
    """How many times the rays that points send to the asset itself are halved, (K,) uint8: once more under small
    pixels, of which more average their noise; one ray is left."""
    most = config.traced_rays.bit_length() - 1
    return np.minimum(met.fewer + (met.size < config.fine_pixel * CELL), most).astype(np.uint8)


def mirror_asset(lit: LitSurface, met: MetPoints, key: np.ndarray) -> np.ndarray:
    """What points reflect of the asset itself, for F0 and F90 (6), how much of the lobe this hides, and under lamps the
    former in their light (6). (K, 7 or 13) float32. Where it hides more of the light than of the lobe, that is below 0.

    key: (K,) int32 below the number of surfels, what rotates a point's rays: noise that is to be averaged needs others
    for its neighbours. Traced for all: what the few rays of surfels miss can hide the brightest of the light. Where
    pixels are tiny, points speak for dull ones beside them with twice the rays; so have those that others lie between.
    """
    fewer, follows = _halve(met, lit.transport.config) + np.uint8(1), met.follows  # of twice traced_rays
    if met.stands is not None:
        fewer -= met.stands
    if not follows.any():
        return _trace_asset(lit, met.points, met.view, key, fewer)
    leads = np.zeros(len(follows), bool)
    leads[met.lead[follows]] = True
    rows = np.flatnonzero(~follows)
    traced = _trace_asset(lit, met.points.take(rows), met.view[rows], key[rows], (fewer - (leads & (fewer > 0)))[rows])
    place = np.cumsum(~follows) - 1
    return traced.take(np.where(follows, place.take(met.lead), place), 0)


def _trace_asset(lit: LitSurface, points: Surfels, view: np.ndarray, key: np.ndarray, fewer: np.ndarray) -> np.ndarray:
    """What mirror_asset returns of each of these points. fewer: (K,) uint8, how many times its rays are halved."""
    light, layer, other, config = lit.light, lit.light.choose("base", lit.matrix), None, lit.transport.config
    if lit.lamps is not None:
        other = lit.transport.spread(lit.lamps.radiosity), np.empty((len(points), 2, 3), np.float32)
    opened, traced, blocked = specular.trace_specular(
        lit.transport.traced, key, np.ascontiguousarray(view), points.shading_normal, points.roughness,
        lit.transport.spread(lit.illumination.radiosity), layer.far,
        light.asset_to_map(lit.rotation).astype(np.float32), around=layer.around,
        mirrors=lit.transport.find_mirrors(light, lit.matrix, lit.illumination.bounces),
        rays=2 * config.traced_rays, fewer=fewer, points=(points.position, points.normal),
        other=other, hidden_only=True, threads=1)
    made = np.empty((len(points), 7 if other is None else 13), np.float32)
    np.subtract(traced.reshape(-1, 6), opened.reshape(-1, 6) * (1 - blocked)[:, None], out=made[:, :6])
    made[:, 6] = blocked
    if other is not None:
        made[:, 7:] = other[1].reshape(-1, 6)
    return made


def _sharpen(lit: LitSurface, met: MetPoints, known: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """How much of each of a map's spots arrives (K, P), where the surfels around say met.arrives: the edges of their
    shadows are finer than these, so the skin itself says; not at outlines, where the mean of a pixel's samples lies
    below the surface. Where one ray and the surfels agree, more are not sent; faint spots are left to these."""
    arrives = met.arrives
    if lit.skin is None or not lit.skin.are_traced or not arrives.shape[1]:
        return arrives
    sharp = lit.spots
    if not len(sharp.number):
        return arrives
    told, made = arrives.take(sharp.number, 1), arrives.copy()
    unsure = _find_unsure(lit, met, sharp, told, None if known is None else known[0])
    if known is not None:
        made[:, sharp.number] = np.where(known[0], told, known[1])
    stands = np.zeros((len(made), 1), bool) if met.stands is None else met.stands[:, None]
    for (far, strong), beside in zip(np.ndindex(2, 2), (*sharp.beside, *sharp.wide)):
        row, spot = find_pairs(unsure & (sharp.strong == strong) & (stands == far))
        if not len(row):
            continue
        rays, pattern = beside.shape[2], 0 if met.pattern is None else met.pattern.take(row)
        towards = beside.reshape(-1, 3 * rays).take(spot * spots.PATTERNS + pattern, 0).reshape(-1, 3)
        seen = _trace_skin(lit, met, np.repeat(row, rays), towards).astype(np.float32)
        at = row * made.shape[1] + sharp.number[spot]
        made.reshape(-1)[at] = seen.reshape(-1, rays) @ np.full(rays, 1 / rays, np.float32)
    return made


def _find_unsure(lit: LitSurface, met: MetPoints, sharp: spots.SharpSpots, arrives: np.ndarray,
                 jumps: np.ndarray | None) -> np.ndarray:
    """Where a ray towards the middle of a spot, or some around it where it is strong, and the surfels around do not
    agree on how much of it arrives (K, P): (K, P) bool. What a point that speaks for others asks is enough for those of
    them that the surfels tell the same, all or nothing. jumps: where this may differ from what is around, (K, P) bool,
    None where it may anywhere."""
    config, points, lead = lit.transport.config, met.points, met.lead
    facing = np.einsum("kc,kc->k", points.normal, met.view) > config.least_facing
    meets = (points.normal @ sharp.towards.T > config.least_cosine) | met.feet.rounded[:, None]
    meets &= (points.shading_normal @ sharp.towards.T > 0) & facing[:, None]
    if jumps is not None:
        meets &= jumps
    if lit.light.near is not None:  # a probe's spots are blurred; where all surfels around agree there is no edge
        meets &= (arrives > config.least_edge) & (arrives < 1 - config.least_edge)
    unsure = np.zeros(meets.shape, bool)

    def ask(asked: np.ndarray) -> None:
        row, ray = find_pairs(asked.astype(np.float32) @ sharp.told > 0)
        if len(row):
            seen = _trace_skin(lit, met, row, sharp.asked.take(ray, 0))
            for owner in sharp.owner:
                at = row * arrives.shape[1] + owner[ray]
                apart = (np.abs(seen - arrives.take(at)) > config.spot_edge) & asked.take(at)
                unsure.reshape(-1)[at[apart]] = True

    if lead is None:
        ask(meets)
        return unsure
    plain = (arrives < config.spot_edge) | (arrives > 1 - config.spot_edge)
    spared = meets & meets.take(lead, 0) & plain & (np.abs(arrives - arrives.take(lead, 0)) <= config.spot_edge)
    spared &= (lead != np.arange(len(lead)))[:, None]
    ask(meets & ~spared)
    ask(spared & unsure.take(lead, 0))
    return unsure


def _trace_skin(lit: LitSurface, met: MetPoints, row: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Which rays (R, 3) from points row (R,) the asset's own skin lets through, (R,) bool."""
    config = lit.transport.config
    lift = np.maximum(np.float32(config.lift * CELL), np.float32(config.pixel_lift) * met.size).take(row)
    origin, seen = met.feet.leave(row, direction, lift)
    free = np.flatnonzero(seen)
    seen[free] = ~lit.skin.block(origin.take(free, 0), direction.take(free, 0), np.full(len(free), np.inf, np.float32))
    return seen
