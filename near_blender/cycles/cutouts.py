"""What a material's opacity leaves of ordinary surfaces, as triangles that cast shadows: leaves, fences, decals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..shaders import shader_nodes

OPAQUE = 0.5  # from which a texel counts as solid
FINEST = 7  # times that a triangle is halved at most
MOST = 200_000  # triangles of one surface that are cut further
_SHADOW_RAY = {"Is Shadow Ray": 1.0}  # what a Light Path node says to a ray towards a lamp; else 0


@dataclass(frozen=True, eq=False)
class Opacity:
    """Where a material stops a lamp's light. solid: bool, () for all of it, or (h, w), row 0 on top, on layout. clear:
    whether it refracts, as glass."""

    solid: np.ndarray
    layout: shader_nodes.UVLayout | None = None
    clear: bool = False

    @cached_property
    def summed(self) -> np.ndarray:
        """(h + 1, w + 1) int32, how many texels are solid above and to the left; of a mirrored texture of all four."""
        solid = self.solid
        if self.layout is not None and self.layout.wrap == "mirror":
            solid = np.block([[solid, solid[:, ::-1]], [solid[::-1], solid[::-1, ::-1]]])
        return np.pad(solid.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32), ((1, 0), (1, 0)))


class Opacities:
    """Where the surfaces of materials stop light; each is read once."""

    def __init__(self) -> None:
        self._known: dict[Any, Opacity] = {}

    def find(self, material: Any) -> Opacity:
        """What stops more than half of a lamp's light is solid, and so is what nodes say that cannot be read."""
        if material not in self._known:
            value = _read(material)
            self._known[material] = Opacity(np.asarray(value.color[..., 0] > OPAQUE), value.layout, _is_clear(material))
        return self._known[material]


def _read(material: Any) -> shader_nodes.NodeValue:
    tree = None if material is None else material.node_tree
    output = None if tree is None else tree.get_output_node("CYCLES")
    if output is None:
        return shader_nodes.make_constant(1)
    if not output.inputs["Surface"].is_linked:
        return shader_nodes.make_constant(0.0 if output.inputs["Volume"].is_linked else 1.0)
    try:
        return _find(output.inputs["Surface"], ())
    except shader_nodes.Unsupported:
        return shader_nodes.make_constant(1)


def _find(socket: Any, groups: tuple[Any, ...]) -> shader_nodes.NodeValue:
    """The opacity of a shader. Raises Unsupported."""
    node, _, groups = shader_nodes.find_source(socket, groups)
    kind = "" if node is None else node.type
    evaluate = shader_nodes.ShaderEvaluator(groups, _SHADOW_RAY).evaluate
    if kind == "BSDF_PRINCIPLED":
        return _reject_tints(evaluate(node.inputs["Alpha"]))
    if kind == "BSDF_TRANSPARENT":
        value = _reject_tints(evaluate(node.inputs["Color"]))
        return replace(value, color=1 - value.color[..., :3].mean(-1, keepdims=True))
    if kind == "MIX_SHADER":
        return _blend(lambda share, a, b: a + (b - a) * np.clip(share, 0, 1), _reject_tints(evaluate(node.inputs[0])),
                      *(_find(each, groups) for each in node.inputs[1:]))
    if kind == "ADD_SHADER":  # what shines through both adds up
        return _blend(lambda a, b: np.clip(a + b - 1, 0, 1), *(_find(each, groups) for each in node.inputs))
    return shader_nodes.make_constant(1)


def _is_clear(material: Any) -> bool:
    """Whether a material is of glass, or in part."""
    tree = None if material is None else material.node_tree
    output = None if tree is None else tree.get_output_node("CYCLES")
    return output is not None and _refracts(output.inputs["Surface"], ())


def _refracts(socket: Any, groups: tuple[Any, ...]) -> bool:
    node, _, groups = shader_nodes.find_source(socket, groups)
    kind = "" if node is None else node.type
    if kind in ("MIX_SHADER", "ADD_SHADER"):
        return any(_refracts(each, groups) for each in node.inputs[-2:])
    if kind == "BSDF_PRINCIPLED":
        weight = node.inputs.get("Transmission Weight")
        return weight is not None and not weight.is_linked and weight.default_value > OPAQUE
    return kind in ("BSDF_GLASS", "BSDF_REFRACTION")


def _reject_tints(value: shader_nodes.NodeValue) -> shader_nodes.NodeValue:
    if value.attribute:
        raise shader_nodes.Unsupported("a colour attribute")
    return value


def _blend(function: Any, *values: shader_nodes.NodeValue) -> shader_nodes.NodeValue:
    """function of numbers, one of which may be pixels."""
    pixels = [value for value in values if value.layout is not None]
    if len(pixels) > 1:
        raise shader_nodes.Unsupported("several images")
    color = function(*(value.color[..., :1] for value in values))
    return replace(pixels[0] if pixels else values[0], color=np.asarray(color, np.float32))


def cut(corners: np.ndarray, uv: np.ndarray, opacity: Opacity, most: int = MOST) -> np.ndarray:
    """What is solid of triangles (T, 3, 3), as triangles (K, 3, 3). uv: (T, 3, 2), of their corners. most: triangles
    that are cut further."""
    if opacity.layout is None:
        return corners if opacity.solid else corners[:0]
    matrix, (height, width), summed = np.reshape(opacity.layout.matrix, (3, 3)), opacity.solid.shape, opacity.summed
    uv = np.nan_to_num(uv, posinf=0, neginf=0) @ matrix[:2, :2].T + matrix[:2, 2]
    at = np.stack([uv[..., 0] * width, (1 - uv[..., 1]) * height], -1)
    kept = []
    for halving in range(FINEST + 1):
        share = _measure_solid(summed, at, opacity.layout.wrap == "clamp")
        mixed = (share > 0) & (share < 1)
        if halving == FINEST or 4 * mixed.sum() > min(most, MOST):  # what its middle shows
            share[mixed] = _measure_solid(summed, at[mixed].mean(1, keepdims=True), opacity.layout.wrap == "clamp")
            mixed[:] = False
        kept.append(corners[share == 1])
        corners, at = _split(corners[mixed]), _split(at[mixed])
        if not len(at):
            break
    return np.concatenate(kept)


def _measure_solid(summed: np.ndarray, at: np.ndarray, clamps: bool) -> np.ndarray:
    """The solid share of the texels around each of some polygons, (T, K, 2) in texels; 0.5 across a seam. summed:
    (h + 1, w + 1), how many texels are solid above and to the left."""
    size = np.array(summed.shape[::-1]) - 1
    low, high = np.floor(at.min(1) + 1e-3), np.ceil(at.max(1) - 1e-3)
    if not clamps:
        shift = np.floor(at.mean(1) / size) * size
        low, high = low - shift, high - shift
    across = ((low < 0) | (high > size)).any(1) & (not clamps)
    low = np.clip(low, 0, size - 1).astype(int)
    high = np.maximum(np.clip(high, 1, size).astype(int), low + 1)
    (left, top), (right, bottom) = low.T, high.T
    found = summed[bottom, right] - summed[top, right] - summed[bottom, left] + summed[top, left]
    return np.where(across, 0.5, found / ((right - left) * (bottom - top)))


def _split(corners: np.ndarray) -> np.ndarray:
    """Triangles (T, 3, C) as four each."""
    a, b, c = np.moveaxis(corners, 1, 0)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    return np.concatenate([np.stack(each, 1) for each in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
