"""The verb create, for the skin of what photos show: triangles with colours at their corners, as dense as these need.

It has no maps but two ramps: a corner's place on them is its roughness and how metallic it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..asset import Skin, SkinMaterial
from ..asset.blending import SurfelBlend
from ..asset.skin import find_edges, find_facing, measure_edges, split_edges, subdivide
from ..directions import unit
from ..image import srgb_decode, srgb_encode
from ..mesh import Mesh, compute_face_normals
from ..progress import Progress, silent
from .config import PaintingConfig, SkinConfig
from .skin import encode_pictures, make_skin

RAMP = 256  # texels along an edge of the ramps
COLOR, ROUGHNESS_METALLIC = slice(0, 3), slice(3, 5)  # columns of SurfelBlend.blend_materials
PAINTED = SkinMaterial((1.0, 1.0, 1.0, 1.0), 1.0, 1.0, 1.0, ("clamp", "clamp"), (-1, 0, 1, -1))
Detail = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Paint:
    """What is known of a surface's material. detail: tells for points (K, 3) and normals (K, 3), asset frame, what
    texels are too coarse for, (K, 3) display colours, which add to theirs; None for nothing."""

    known: SurfelBlend
    detail: Detail | None = None

    def tell(self, points: np.ndarray, facing: np.ndarray) -> np.ndarray:
        """Base colour, roughness and metallic, (K, 5), of points of the sides that face so."""
        told = self.known.blend_materials(points, facing)
        told[~told.any(1)] = self._average()  # beyond the cube there are no surfels
        if self.detail is not None:
            told[:, COLOR] = srgb_decode(np.clip(srgb_encode(told[:, COLOR]) + self.detail(points, facing), 0, 1))
        return told

    def _average(self) -> np.ndarray:
        """The surface's mean of the same, (5,)."""
        surfels = self.known.surfels
        columns = np.column_stack([surfels.base_color, surfels.roughness, surfels.metallic])
        return np.average(columns, 0, surfels.area)


def paint_skin(shape: Mesh, paint: Paint, leans: bool = False, progress: Progress = silent,
               config: PaintingConfig = PaintingConfig()) -> Skin:
    """The skin of a shape in the asset's frame. leans: its normals are the surfels', which know more than the shape.
    Raises Cancelled when progress does."""
    bare = make_skin(turn_outward(shape, paint.known), SkinConfig(config.faces, 0))
    bare = subdivide(bare, config.longest, config.faces)
    skin = replace(bare, color=np.ones((len(bare.vertices), 4), np.float32), materials=(PAINTED,),
                   pictures=_draw_ramps())
    skin = _paint(skin, np.arange(len(skin.vertices)), paint, leans, config)
    rounds = config.rounds if paint.detail is None else config.fine_rounds
    first, before = 0, np.inf  # edges between vertices below first, longer than before, have been asked for
    for number in range(rounds):
        progress("Skin", number / rounds)
        finest = config.finest / (1 if number < config.rounds else 2)  # a photo's fine crop has twice the pixels
        edges = find_edges(skin.faces)
        length = measure_edges(skin, edges[0])
        due = (length > finest) & ((edges[0][:, 1] >= first) | (length <= before))
        first, before = len(skin.vertices), finest
        skin = split_edges(skin, edges, _choose_edges(skin, edges, due, paint, config))
        skin = _paint(skin, np.arange(first, len(skin.vertices)), paint, leans, config)
    if paint.detail is None:
        return skin
    far = np.flatnonzero(_measure_apart(skin) > config.finest)  # between such corners detail would be noise
    return _paint(skin, far, replace(paint, detail=None), leans, config)


def turn_outward(shape: Mesh, known: SurfelBlend) -> Mesh:
    """A shape without materials, each face turned to the side on which its surfels are, whatever its winding says."""
    normal = compute_face_normals(shape)[0]
    middle = np.ascontiguousarray(shape.vertices[shape.faces].mean(1), np.float32)
    told = known.blend(known.surfels.normal, middle, normal)
    wrong = (told * normal).sum(1) <= 0
    turned = lambda corners: np.where(wrong.reshape(-1, *[1] * (corners.ndim - 1)), corners[:, ::-1], corners)
    bent = shape.corner_normal
    if bent is not None:
        bent = turned(bent) * np.where(wrong, -1, 1).astype(np.float32)[:, None, None]
    return Mesh(shape.vertices, turned(shape.faces), corner_normal=bent)


def _paint(skin: Skin, rows: np.ndarray, paint: Paint, leans: bool, config: PaintingConfig) -> Skin:
    """A skin of which the vertices at rows have the colours, the places on the ramps and, where it leans, the normals
    that they are told."""
    points, facing = skin.vertices[rows], find_facing(skin)[rows]
    told = paint.tell(points, facing)
    color, uv, normal = skin.color.copy(), skin.uv.copy(), skin.normal
    color[rows, :3] = told[:, COLOR]
    uv[rows] = (np.clip(told[:, ROUGHNESS_METALLIC], 0, 1) * (RAMP - 1) + 0.5) / RAMP
    if leans and normal is not None:
        leant = paint.known.blend(paint.known.surfels.shading_normal, points, facing)
        clear = np.linalg.norm(leant, axis=1, keepdims=True) > config.least_normal
        normal = normal.copy()
        normal[rows] = unit(np.where(clear, leant, facing))
    return replace(skin, color=color, uv=uv, normal=normal)


def _choose_edges(skin: Skin, edges: tuple[np.ndarray, np.ndarray], due: np.ndarray, paint: Paint,
                  config: PaintingConfig) -> np.ndarray:
    """Which edges, (E,), are to be halved, since colours bend along them: the most bent, where there is no room for
    all. due: (E,), which are asked for."""
    (ends, row), asked = edges, np.flatnonzero(due)
    near, far = ends[asked].T
    facing = find_facing(skin)
    told = paint.tell((skin.vertices[near] + skin.vertices[far]) / 2, unit(facing[near] + facing[far]))[:, COLOR]
    apart = np.abs(srgb_encode(told) - srgb_encode((skin.color[near, :3] + skin.color[far, :3]) / 2))
    bent = np.maximum(np.maximum(apart[:, 0], apart[:, 1]), apart[:, 2])
    order = np.argsort(-bent, kind="stable")
    wanted = asked[order[:np.count_nonzero(bent > config.color_step)]]
    more = np.cumsum(np.bincount(row.ravel(), minlength=len(ends))[wanted])  # each face that has it becomes two
    chosen = np.zeros(len(ends), bool)
    chosen[wanted[more <= config.faces - len(skin.faces)]] = True
    return chosen


def _measure_apart(skin: Skin) -> np.ndarray:
    """(V,) how long the edges at each vertex are in the mean, asset units."""
    ends = find_edges(skin.faces)[0]
    length = np.repeat(measure_edges(skin, ends), 2)
    count = np.bincount(ends.ravel(), minlength=len(skin.vertices))
    return np.bincount(ends.ravel(), length, len(skin.vertices)) / np.maximum(count, 1)


def _draw_ramps() -> tuple[bytes, ...]:
    """Pictures of roughness, which grows with U, and of metallic, which grows with V."""
    values = np.repeat(np.arange(RAMP, dtype=np.uint8)[:, None], RAMP, 1)
    return encode_pictures([np.repeat(ramp[..., None], 3, 2) for ramp in (values.T, values[::-1])], RAMP ** 2)
