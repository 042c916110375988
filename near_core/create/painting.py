"""The verb create, for the skin of what photos show: triangles with colours at their corners, as dense as these need.

It has no maps but two ramps: a corner's place on them is its roughness and how metallic it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..asset import Skin, SkinMaterial, Surfels, Texels
from ..asset.blending import blend, blend_materials
from ..asset.skin import find_edges, find_facing, split_edges, subdivide
from ..directions import unit
from ..image import srgb_encode
from ..mesh import Mesh
from .config import PaintingConfig, SkinConfig
from .skin import encode_pictures, make_skin

RAMP = 256  # texels along an edge of the ramps
COLOR, ROUGHNESS_METALLIC = slice(0, 3), slice(3, 5)  # columns of what blend_materials tells
PAINTED = SkinMaterial((1.0, 1.0, 1.0, 1.0), 1.0, 1.0, 1.0, ("clamp", "clamp"), (-1, 0, 1, -1))


def paint_skin(shape: Mesh, surfels: Surfels, texels: Texels | None, leans: bool = False,
               config: PaintingConfig = PaintingConfig()) -> Skin:
    """The skin of a shape in the asset's frame, in the colours of its surfels and texels. leans: its normals are the
    surfels', which know more than the shape."""
    bare = make_skin(Mesh(shape.vertices, shape.faces, corner_normal=shape.corner_normal), SkinConfig(config.faces, 0))
    bare = subdivide(bare, config.longest, config.faces)
    skin = replace(bare, color=np.ones((len(bare.vertices), 4), np.float32), materials=(PAINTED,),
                   pictures=_draw_ramps())
    skin = _paint(skin, 0, surfels, texels, leans, config)
    for _ in range(config.rounds):
        first, skin = len(skin.vertices), split_edges(skin, _choose_edges(skin, surfels, texels, config))
        skin = _paint(skin, first, surfels, texels, leans, config)
    return skin


def _paint(skin: Skin, first: int, surfels: Surfels, texels: Texels | None, leans: bool, config: PaintingConfig
           ) -> Skin:
    """A skin whose vertices from row `first` on have the colours, the places on the ramps and, where it leans, the
    normals that surfels tell them."""
    points, facing = skin.vertices[first:], find_facing(skin)[first:]
    told = blend_materials(surfels, texels, points, facing)
    color, uv, normal = skin.color.copy(), skin.uv.copy(), skin.normal
    color[first:, :3] = told[:, COLOR]
    uv[first:] = (np.clip(told[:, ROUGHNESS_METALLIC], 0, 1) * (RAMP - 1) + 0.5) / RAMP
    if leans and normal is not None:
        leant = blend(surfels, surfels.shading_normal, points, facing)
        clear = np.linalg.norm(leant, axis=1, keepdims=True) > config.least_normal
        normal = np.concatenate([normal[:first], unit(np.where(clear, leant, facing))])
    return replace(skin, color=color, uv=uv, normal=normal)


def _choose_edges(skin: Skin, surfels: Surfels, texels: Texels | None, config: PaintingConfig) -> np.ndarray:
    """Which edges, (F, 3) each from a corner to the next, are to be halved, since colours bend along them: the most
    bent, where there is no room for all."""
    ends, row = find_edges(skin.faces)
    length = np.linalg.norm(skin.vertices[ends[:, 0]] - skin.vertices[ends[:, 1]], axis=1)
    bent = np.zeros(len(ends), np.float32)
    short = np.flatnonzero(length > config.finest)
    middle = np.ascontiguousarray(skin.vertices[ends[short]].mean(1), np.float32)
    told = blend_materials(surfels, texels, middle, unit(find_facing(skin)[ends[short]].mean(1)))[:, COLOR]
    mean = skin.color[ends[short], :3].mean(1)
    bent[short] = np.abs(srgb_encode(told) - srgb_encode(mean)).max(1)
    least, room = config.color_step, max(config.faces - len(skin.faces), 0) // 2  # an edge halves two faces
    if (bent > least).sum() > room:
        least = np.partition(bent, -room - 1)[-room - 1]
    return (bent > least)[row]


def _draw_ramps() -> tuple[bytes, ...]:
    """Pictures of roughness, which grows with U, and of metallic, which grows with V."""
    values = np.repeat(np.arange(RAMP, dtype=np.uint8)[:, None], RAMP, 1)
    return encode_pictures([np.repeat(ramp[..., None], 3, 2) for ramp in (values.T, values[::-1])], RAMP ** 2)
