"""Surfels under a light and a view: their transport terms, and what the lighting decoder is told about them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .._kernels import lamps, specular
from ..asset import Surfels
from ..directions import fibonacci_sphere
from ..models.mini.layout import SURFEL, TOKENS, SurfelColumn, Term
from . import lamplight, principled
from .config import TransportConfig
from .lamplight import LampLight
from .near import NearLayer
from .transport import Illumination, PreparedLight, Transport

TOKEN_ROWS = (32, 16, 8)  # pyramid levels a token looks at, by their rows


@dataclass(frozen=True, eq=False)
class Shaded:
    """Surfels under a light and a view, K of them, with what they send to the camera term by term.

    surfels: K taken from the asset's. index: (K,) their rows there. view: (K, 3) unit, asset frame, to the camera.
    terms: (K, TERMS, 3) radiance at strength 1, as models.mini.layout.Term. blocked: (K,) fraction of the specular lobe
    that hits the asset. visibility: (K,) of the sky's irradiance. among: (K, 2, 3) for F0 and F90, what they reflect of
    the asset itself in the light of lamps; None where nobody asked.
    """

    surfels: Surfels
    index: np.ndarray
    view: np.ndarray
    terms: np.ndarray
    blocked: np.ndarray
    visibility: np.ndarray
    among: np.ndarray | None = None


def shade(prepared: Transport, illumination: Illumination, light: PreparedLight, rotation: np.ndarray,
          index: np.ndarray, view: np.ndarray, rays: int, matrix: np.ndarray | None = None, threads: int = 0,
          shining: LampLight | None = None, group: np.ndarray | None = None) -> Shaded:
    """The physically based part of a picture: transport and the Principled BSDF.

    illumination: of the asset by this light under this rotation (3, 3), asset frame -> world. index: (K,) rows of the
    surfels that are seen. view: (K, 3) float32 unit, asset frame, to the camera. rays: specular ones per surfel.
    matrix: (4, 4), where the asset stands; without it all light is far. shining: lamps whose light is reflected, too.
    group: (K,) int32, ascending, which of several of the asset each surfel is of, under the same light, all of it far;
    rotation is then (G, 3, 3), and illumination as transport.join makes it.
    """
    asset_to_map = light.asset_to_map(rotation)
    row = index if group is None else group * len(prepared.surfels) + index  # of the illumination
    surfels, config = prepared.surfels.take(index), prepared.config
    cosine = np.clip(np.einsum("kc,kc->k", surfels.shading_normal, view), 1e-3, 1)
    wide = np.zeros_like(cosine) if illumination.lit is None else find_wide(surfels.roughness, config)
    opened, traced, among = np.zeros((3, len(index), 2, 3), np.float32)
    blocked = np.zeros(len(index), np.float32)
    for share, layer in ((1 - wide, light.choose("whole", matrix)), (wide, light.choose("base", matrix))):
        rows = pick_rows(share > 0)
        part = surfels.take(rows)
        if len(part):
            mirrors = prepared.find_mirrors(light, matrix, illumination.bounces)
            for out, each in zip((opened, traced, blocked, among), _trace_reflections(
                    prepared, part, illumination, layer, mirrors, asset_to_map, index[rows], view[rows], rays, threads,
                    shining, None if group is None else group[rows])):
                out[rows] += each * share[rows].reshape(-1, *(1,) * (each.ndim - 1))
    if wide.any():
        rows = pick_rows(wide > 0)
        glare = mirror_spots(light, *_turn_to_map(asset_to_map, surfels.take(rows), view[rows],
                                                  None if group is None else group[rows]),
                             illumination.lit[row[rows]].astype(np.float32), config, config.spot_glare)
        opened[rows] += wide[rows, None, None] * glare[0]
        traced[rows] += wide[rows, None, None] * glare[1]
    irradiance = np.stack([illumination.open[row], illumination.direct[row], illumination.bounced[row]], 1)
    terms = principled.evaluate(surfels.base_color, surfels.roughness, surfels.metallic, cosine, irradiance,
                               np.stack([opened, traced], 1))
    return Shaded(surfels, index, view, terms, blocked, illumination.visibility[row],
                  None if shining is None else among)


def shade_lamps(prepared: Transport, shining: LampLight, matrix: np.ndarray, rotation: np.ndarray, shaded: Shaded
                ) -> np.ndarray:
    """What surfels that are shaded under lamps send of their light, term by term as Shaded.terms, (K, TERMS, 3) in
    absolute radiance. matrix: (4, 4), rotation: (3, 3), asset frame -> world."""
    surfels, index, view = shaded.surfels, shaded.index, shaded.view
    _, (opened, traced) = lamplight.light_points(shining, surfels, shining.lit[index], view, matrix, rotation,
                                                 prepared.config.spot_roughness)
    irradiance = np.stack([shining.open[index], shining.direct[index], shining.bounced[index]], 1)
    cosine = np.clip(np.einsum("kc,kc->k", surfels.shading_normal, view), 1e-3, 1)
    return principled.evaluate(surfels.base_color, surfels.roughness, surfels.metallic, cosine, irradiance,
                               np.stack([opened, traced + shaded.among], 1))


def find_wide(roughness: np.ndarray, config: TransportConfig = TransportConfig()) -> np.ndarray:
    """How much of a lobe counts as too wide for its rays to find a map's spots, (K,) float32, 0..1."""
    middle, width = config.narrow_roughness, config.narrow_fade
    return np.clip((roughness - middle) / np.float32(width) + np.float32(0.5), 0, 1)


def mirror_spots(light: PreparedLight, asset_to_map: np.ndarray, surfels: Surfels, view: np.ndarray,
                 arrives: np.ndarray, config: TransportConfig, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """What surfels mirror of a map's spots, all of them and as far as they arrive (K, P): (K, 2, 3) for F0 and F90.
    limit: of both, times the map's mean luminance."""
    return lamps.glare(light.suns[-light.spots:] @ asset_to_map.astype(np.float32), light.sun_weight[-light.spots:],
                       surfels.shading_normal, np.ascontiguousarray(view), surfels.roughness,
                       np.ascontiguousarray(arrives), config.spot_roughness, limit * light.mean, threads=1)


def add_mirrored(opened: np.ndarray, glare: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """What points reflect of the open map and of what arrives, (K, 2, 2, 3), of the former (K, 2, 3),
    spots' glare (2, K, 2, 3) and what mirror_asset says, (K, 7 or more). Flat, as numpy is slow along short axes."""
    count = len(mirrored)
    opened, glare, made = opened.reshape(count, 6), glare.reshape(2, count, 6), np.empty((count, 12), np.float32)
    np.add(opened, glare[0], out=made[:, :6])
    arrives = opened * (1 - mirrored[:, 6:7])
    arrives += mirrored[:, :6]
    np.add(np.maximum(arrives, 0, out=arrives), glare[1], out=made[:, 6:])
    return made.reshape(count, 2, 2, 3)


def take_part(terms: np.ndarray, shading: str) -> np.ndarray:
    """Terms (K, TERMS, 3) with 0 in those that are not of this shading, as scene.Settings has it."""
    others = {"diffuse": Term.GLOSSY, "glossy": Term.DIFFUSE}.get(shading)
    if others is None:
        return terms
    left = terms.copy()
    left[:, others] = 0
    return left


def pick_rows(chosen: np.ndarray) -> np.ndarray | slice:
    """Those of chosen (K,) bool, as an index that copies nothing where it is all of them."""
    return slice(None) if chosen.all() else np.flatnonzero(chosen)


def find_pairs(asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As np.nonzero of (K, P), which is slow where P is small."""
    at, short = np.flatnonzero(asked), asked.shape[1]
    row = at // short
    return row, at - short * row


def _trace_reflections(prepared: Transport, surfels: Surfels, illumination: Illumination, layer: NearLayer,
                       mirrors: specular.Mirrors | None, asset_to_map: np.ndarray, index: np.ndarray, view: np.ndarray,
                       rays: int, threads: int, shining: LampLight | None, group: np.ndarray | None
                       ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Reflections of the open map and of what the surfels see, (K, 2, 3) for F0 and F90, what is blocked (K,), and what
    they see in the light of lamps, (K, 2, 3)."""
    among, turn = np.zeros((len(index), 2, 3), np.float32), asset_to_map.astype(np.float32)
    opened, traced, blocked = specular.trace_specular(
        prepared.traced, prepared.find_origins(index), view, surfels.shading_normal, surfels.roughness,
        illumination.radiosity, layer.far, turn, around=layer.around, mirrors=mirrors, rays=rays,
        other=None if shining is None else (shining.radiosity, among), hidden_only=True, owners=prepared.owners,
        group=group, threads=threads)
    # the same light by more rays, none traced, the same for all: what nothing is in the way of has no noise
    smooth = specular.reflect(
        layer.far, surfels.normal, view, surfels.shading_normal, surfels.roughness,
        np.full(len(index), prepared.config.even_key, np.int32), turn, around=layer.around, origin=surfels.position,
        rays=prepared.config.open_rays * rays, group=group, threads=threads)
    return smooth, np.maximum(traced + (smooth - opened) * (1 - blocked)[:, None, None], 0), blocked, among


def _turn_to_map(asset_to_map: np.ndarray, surfels: Surfels, view: np.ndarray, group: np.ndarray | None
                 ) -> tuple[np.ndarray, Surfels, np.ndarray]:
    """What turns directions into the map's frame, (3, 3), surfels and views: these as they are or, where they are of
    several instances, with shading normals and views turned already."""
    if group is None:
        return asset_to_map, surfels, view
    turns = asset_to_map.astype(np.float32)[group]
    bent, turned = (np.einsum("kij,kj->ki", turns, each) for each in (surfels.shading_normal, view))
    return np.eye(3), replace(surfels, shading_normal=bent), turned


def spread_tokens() -> np.ndarray:
    """(TOKENS, 3) float32 unit, map frame."""
    return fibonacci_sphere(TOKENS)


def look_up_tokens(light: PreparedLight, directions: np.ndarray) -> np.ndarray:
    """Radiance around directions (T, 3) of the map's frame at three widths, over the map's mean.
    (T, RADIANCE) float32."""
    pyramid = light.pyramid
    lods = [max(math.log2(pyramid.height / rows), 0) for rows in TOKEN_ROWS]
    levels = [pyramid.sample(directions, np.full(len(directions), lod, np.float32)) for lod in lods]
    return np.concatenate(levels, 1) / light.mean


def gather_decoder_inputs(shaded: Shaded, light: PreparedLight, rotation: np.ndarray) -> dict[str, np.ndarray]:
    """What the lighting decoder takes beside the intrinsic features, by its inputs' names: in the map's frame, in units
    of the map's mean. light: with its tokens. rotation: (3, 3), asset frame -> world."""
    turn = light.asset_to_map(rotation).T.astype(np.float32)
    return {"surfel": describe_surfels(shaded), "terms": shaded.terms / light.mean, "view": shaded.view,
            "reflected": mirror_views(shaded) @ turn, "normal": shaded.surfels.shading_normal @ turn,
            "tokens": light.tokens, "directions": spread_tokens()}


def describe_surfels(shaded: Shaded) -> np.ndarray:
    """(K, SURFEL) float32: what the decoder is told of a surfel beside its light."""
    s = shaded.surfels
    cosine = lambda a, b: np.einsum("kc,kc->k", a, b)
    inputs = np.empty((len(s), SURFEL), np.float32)
    inputs[:, SurfelColumn.BASE_COLOR] = s.base_color
    inputs[:, SurfelColumn.ROUGHNESS], inputs[:, SurfelColumn.METALLIC] = s.roughness, s.metallic
    inputs[:, SurfelColumn.SHADING_COSINE] = cosine(s.shading_normal, shaded.view)
    inputs[:, SurfelColumn.COSINE] = cosine(s.normal, shaded.view)
    inputs[:, SurfelColumn.BENDING] = cosine(s.normal, s.shading_normal)
    inputs[:, SurfelColumn.AREA] = s.area
    inputs[:, SurfelColumn.VISIBILITY], inputs[:, SurfelColumn.BLOCKED] = shaded.visibility, shaded.blocked
    return inputs


def mirror_views(shaded: Shaded) -> np.ndarray:
    """(K, 3) unit, asset frame: the view direction mirrored at the shading normal."""
    n = shaded.surfels.shading_normal
    return 2 * np.einsum("kc,kc->k", n, shaded.view)[:, None] * n - shaded.view
