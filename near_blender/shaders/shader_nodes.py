"""Evaluates shader nodes: what arrives at an input, as a colour or as pixels.

Nodes that work on each pixel alone are evaluated in numpy as Blender does. What depends on more than the UVs
(procedural textures, geometry, light) is Unsupported, a word the caller can show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import bpy
import numpy as np

from .. import colorspace
from .._core import image as images

MAX_SIDE = 2048  # pixels; larger textures are scaled down first: an asset has 128 cells along an edge
_WRAP = {"REPEAT": "repeat", "MIRROR": "mirror"}


class Unsupported(Exception):
    """A node that cannot be followed; the text names it."""


class Missing(Unsupported):
    """There is nothing to follow: an image is gone, or was never chosen."""


@dataclass(frozen=True)
class UVLayout:
    """Where on a texture a corner lies. layer: name of the UV map, "" = the active one; matrix: 3x3 on (u, v, 1), row
    by row; wrap: as near_core.mesh.Material has it."""

    layer: str = ""
    matrix: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    wrap: str = "repeat"


@dataclass(frozen=True, eq=False)
class NodeValue:
    """color: (4,), or (h, w, 4) with row 0 on top, float32 linear Rec.709 and alpha; numbers are grey.
    layout: of the pixels, None for a constant.
    attribute: name of the colour attribute that it is multiplied with, "*" the active one."""

    color: np.ndarray
    layout: UVLayout | None = None
    attribute: str = ""


def make_constant(*color: float) -> NodeValue:
    """One number, or red, green and blue."""
    return NodeValue(np.array([*(color if len(color) == 3 else color * 3), 1], np.float32))


class ShaderEvaluator:
    """Evaluates the inputs of one material's nodes; textures are read once. A method evaluates the node of its name.

    groups: the group nodes around the nodes it starts from, the outermost first. ray: what Light Path nodes say, by
    output, else 0; None where there is no ray.
    """

    def __init__(self, groups: tuple[Any, ...] = (), ray: dict[str, float] | None = None) -> None:
        self._groups, self._ray = groups, ray
        self._pixels: dict[str, np.ndarray] = {}

    def evaluate(self, socket: Any) -> NodeValue:
        """What arrives at an input socket, followed through links, reroutes and groups. Raises Unsupported."""
        node, output, groups = find_source(socket, self._groups)
        if node is None:
            value = read_default(output)
        elif node.type not in _HANDLERS:
            raise Unsupported(node.label or node.bl_label)
        else:
            outside, self._groups = self._groups, groups
            try:
                value = _HANDLERS[node.type](self, node, output)
            finally:
                self._groups = outside
        return _gray(value, node) if socket.type == "VALUE" and output.type != "VALUE" else value

    def texture(self, node: Any, output: Any) -> NodeValue:
        """An image texture."""
        if node.image is None or node.projection != "FLAT":
            kind = Missing if node.image is None else Unsupported
            raise kind(f"{node.bl_label} without {'an image' if node.image is None else 'flat projection'}")
        if node.image.source == "TILED":
            raise Unsupported(f"the tiles of {node.image.name}")
        if min(node.image.size) < 1 or not len(node.image.pixels):
            raise Missing(f"the missing image {node.image.name}")
        space = node.image.colorspace_settings
        if not (node.image.is_float or space.is_data or space.name in (*colorspace.SRGB, *colorspace.LINEAR)):
            raise Unsupported(f"{node.image.name} in {space.name}")
        layout = replace(_layout(node.inputs["Vector"], self._groups), wrap=_WRAP.get(node.extension, "clamp"))
        if node.image.name not in self._pixels:
            self._pixels[node.image.name] = read_pixels(node.image)
        color = self._pixels[node.image.name]
        return NodeValue(_numbers(color[..., 3]) if output.name == "Alpha" else color, layout)

    def attribute(self, node: Any, output: Any) -> NodeValue:
        """A colour attribute."""
        if output.name != "Color" or getattr(node, "attribute_type", "GEOMETRY") != "GEOMETRY":
            raise Unsupported(f"the {output.name} of {node.label or node.bl_label}")
        name = node.layer_name or "*" if node.type == "VERTEX_COLOR" else node.attribute_name
        return NodeValue(make_constant(1).color, attribute=name)

    def separate(self, node: Any, output: Any) -> NodeValue:
        if getattr(node, "mode", "RGB") != "RGB":
            raise Unsupported(node.bl_label)
        return self.unary(node.inputs[0], node, lambda c: _numbers(c[..., list(node.outputs).index(output)]))

    def combine(self, node: Any, output: Any) -> NodeValue:
        if getattr(node, "mode", "RGB") != "RGB":
            raise Unsupported(node.bl_label)
        red, green, blue = (self.evaluate(node.inputs[i]) for i in range(3))
        pair = _binary(red, green, node, lambda a, b: np.stack([a[..., 0], b[..., 0], b[..., 0], b[..., 3]], -1))
        return _binary(pair, blue, node, lambda a, b: np.stack([a[..., 0], a[..., 1], b[..., 0], b[..., 3]], -1))

    def mix(self, node: Any, output: Any) -> NodeValue:
        inputs = [s for s in node.inputs if s.enabled and s.type in ("VALUE", "RGBA")]
        if len(inputs) != 3 or getattr(node, "factor_mode", "UNIFORM") != "UNIFORM":
            raise Unsupported(node.label or node.bl_label)
        weight, a, b = (self.evaluate(s) for s in inputs)
        blend = "MIX" if getattr(node, "data_type", "RGBA") == "FLOAT" else node.blend_type
        if weight.layout is None and blend in ("MIX", "MULTIPLY"):  # where tints survive
            if weight.color[0] == 0:
                return a
            if weight.color[0] == 1:
                return b if blend == "MIX" else _binary(a, b, node, np.multiply, is_product=True)
        if blend not in _BLENDS:
            raise Unsupported(f"{node.label or node.bl_label} ({blend.title()})")
        mixed = _binary(a, b, node, lambda x, y: _keep_alpha(x, _BLENDS[blend](x, y)))
        change = _binary(mixed, a, node, np.subtract)
        mixed = _binary(a, _binary(change, weight, node, lambda c, w: c * np.clip(w[..., :1], 0, 1)), node, np.add)
        does_clamp = getattr(node, "clamp_result", getattr(node, "use_clamp", False))
        return replace(mixed, color=np.clip(mixed.color, 0, 1)) if does_clamp else mixed

    def math(self, node: Any, output: Any) -> NodeValue:
        function = _MATH.get(node.operation)
        if function is None:
            raise Unsupported(f"{node.bl_label} ({node.operation.title()})")
        a, b = (self.evaluate(node.inputs[i]) for i in range(2))
        value = _binary(a, b, node, lambda x, y: _keep_alpha(x, function(x, y)), node.operation == "MULTIPLY")
        return replace(value, color=np.clip(value.color, 0, 1)) if node.use_clamp else value

    def invert(self, node: Any, output: Any) -> NodeValue:
        inverse = self.unary(node.inputs[1], node, lambda c: _keep_alpha(c, 1 - c))
        weight = self.evaluate(node.inputs[0])
        return inverse if weight.layout is None and weight.color[0] == 1 else _refuse(node)

    def gamma(self, node: Any, output: Any) -> NodeValue:
        power = self.number(node.inputs[1], node)
        return self.unary(node.inputs[0], node, lambda c: _keep_alpha(c, np.maximum(c, 0) ** power))

    def contrast(self, node: Any, output: Any) -> NodeValue:
        bright, contrast = self.number(node.inputs[1], node), self.number(node.inputs[2], node)
        return self.unary(node.inputs[0], node, lambda c: _keep_alpha(
            c, np.maximum((1 + contrast) * c + bright - contrast / 2, 0)))

    def hue(self, node: Any, output: Any) -> NodeValue:
        hue, saturation, value, weight = (self.number(s, node) for s in list(node.inputs)[:4])
        if hue != 0.5 or weight != 1:
            raise Unsupported(node.bl_label)

        def change(c: np.ndarray) -> np.ndarray:
            top = c[..., :3].max(-1, keepdims=True)
            return _keep_alpha(c, np.maximum((top - np.minimum(saturation * (top - c), top)) * value, 0))
        return self.unary(node.inputs[4], node, change)

    def ramp(self, node: Any, output: Any) -> NodeValue:
        steps = np.array([node.color_ramp.evaluate(x) for x in np.linspace(0, 1, 1025)], np.float32)
        steps[:, :3] = colorspace.to_rec709(steps[:, :3])
        if output.name == "Alpha":
            steps = _numbers(steps[:, 3])
        return self.unary(node.inputs[0], node, lambda c: steps[np.round(np.clip(c[..., 0], 0, 1) * 1024).astype(int)])

    def map_range(self, node: Any, output: Any) -> NodeValue:
        if node.data_type != "FLOAT" or node.interpolation_type != "LINEAR":
            raise Unsupported(node.bl_label)
        low, high, to_low, to_high = (self.number(node.inputs[i], node) for i in range(1, 5))

        def change(c: np.ndarray) -> np.ndarray:
            share = (c - low) / (high - low or 1)
            return _keep_alpha(c, to_low + (to_high - to_low) * (np.clip(share, 0, 1) if node.clamp else share))
        return self.unary(node.inputs[0], node, change)

    def clamp(self, node: Any, output: Any) -> NodeValue:
        low, high = self.number(node.inputs[1], node), self.number(node.inputs[2], node)
        return self.unary(node.inputs[0], node, lambda c: _keep_alpha(c, np.clip(c, low, high)))

    def curves(self, node: Any, output: Any) -> NodeValue:
        mapping, x = node.mapping, np.linspace(0, 1, 1025)
        mapping.initialize()
        if self.number(node.inputs[0], node) != 1:
            raise Unsupported(node.bl_label)
        tables = [np.array([mapping.evaluate(mapping.curves[i], mapping.evaluate(mapping.curves[3], v)) for v in x],
                           np.float32) for i in range(3)]
        return self.unary(node.inputs[1], node, lambda c: np.stack(
            [np.interp(c[..., i], x, tables[i]).astype(np.float32) for i in range(3)] + [c[..., 3]], -1))

    def light_path(self, node: Any, output: Any) -> NodeValue:
        return _refuse(node) if self._ray is None else make_constant(self._ray.get(output.name, 0.0))

    def blackbody(self, node: Any, output: Any) -> NodeValue:
        return make_constant(*images.blackbody(self.number(node.inputs[0], node)).tolist())

    def own(self, node: Any, output: Any) -> NodeValue:
        return read_default(output)

    def gray(self, node: Any, output: Any) -> NodeValue:
        return _gray(self.evaluate(node.inputs[0]), node)

    def unary(self, socket: Any, node: Any, function: Callable[[np.ndarray], np.ndarray]) -> NodeValue:
        """function of the colours (..., 4) at socket."""
        value = self.evaluate(socket)
        return _refuse(node) if value.attribute else replace(value, color=function(value.color).astype(np.float32))

    def number(self, socket: Any, node: Any) -> float:
        """A number that is the same everywhere."""
        value = self.evaluate(socket)
        return float(value.color[0]) if value.layout is None and not value.attribute else _refuse(node)


_HANDLERS: dict[str, Callable[[ShaderEvaluator, Any, Any], NodeValue]] = {
    "TEX_IMAGE": ShaderEvaluator.texture, "VERTEX_COLOR": ShaderEvaluator.attribute,
    "ATTRIBUTE": ShaderEvaluator.attribute, "SEPARATE_COLOR": ShaderEvaluator.separate,
    "SEPRGB": ShaderEvaluator.separate, "COMBINE_COLOR": ShaderEvaluator.combine, "COMBRGB": ShaderEvaluator.combine,
    "MIX": ShaderEvaluator.mix, "MIX_RGB": ShaderEvaluator.mix, "MATH": ShaderEvaluator.math,
    "INVERT": ShaderEvaluator.invert, "GAMMA": ShaderEvaluator.gamma, "BRIGHTCONTRAST": ShaderEvaluator.contrast,
    "HUE_SAT": ShaderEvaluator.hue, "VALTORGB": ShaderEvaluator.ramp, "MAP_RANGE": ShaderEvaluator.map_range,
    "CLAMP": ShaderEvaluator.clamp, "CURVE_RGB": ShaderEvaluator.curves, "RGB": ShaderEvaluator.own,
    "VALUE": ShaderEvaluator.own, "RGBTOBW": ShaderEvaluator.gray, "LIGHT_PATH": ShaderEvaluator.light_path,
    "BLACKBODY": ShaderEvaluator.blackbody,
}
_BLENDS: dict[str, Callable] = {
    "MIX": lambda a, b: b, "MULTIPLY": np.multiply, "ADD": np.add, "SUBTRACT": np.subtract, "DARKEN": np.minimum,
    "LIGHTEN": np.maximum, "DIFFERENCE": lambda a, b: np.abs(a - b), "SCREEN": lambda a, b: 1 - (1 - a) * (1 - b),
    "OVERLAY": lambda a, b: np.where(a < 0.5, 2 * a * b, 1 - 2 * (1 - a) * (1 - b)),
}
_MATH: dict[str, Callable] = {
    "ADD": np.add, "SUBTRACT": np.subtract, "MULTIPLY": np.multiply, "MINIMUM": np.minimum, "MAXIMUM": np.maximum,
    "DIVIDE": lambda a, b: np.where(b == 0, 0, a / np.where(b == 0, 1, b)),
    "POWER": lambda a, b: np.where(a > 0, np.maximum(a, 1e-12) ** b, 0),
    "ROUND": lambda a, b: np.floor(a + 0.5),
    "GREATER_THAN": lambda a, b: (a > b).astype(np.float32), "LESS_THAN": lambda a, b: (a < b).astype(np.float32),
}


def find_source(socket: Any, groups: tuple[Any, ...] = ()) -> tuple[Any, Any, tuple[Any, ...]]:
    """The node and output that an input in `groups` is connected to, past reroutes and into and out of groups, and the
    groups around that node. Where nothing is connected: None and the input whose own value counts."""
    while socket.is_linked and socket.links and not socket.links[0].is_muted:
        node, output = socket.links[0].from_node, socket.links[0].from_socket
        if node.type == "REROUTE":
            inner = node.inputs[0]
        elif node.type == "GROUP" and node.node_tree is not None:
            ends = [n for n in node.node_tree.nodes if n.type == "GROUP_OUTPUT" and n.is_active_output]
            inner = next((s for end in ends for s in end.inputs if s.identifier == output.identifier), None)
            groups = (*groups, node)
        elif node.type == "GROUP_INPUT" and groups:
            inner = next((s for s in groups[-1].inputs if s.identifier == output.identifier), None)
            groups = groups[:-1]
        else:
            return node, output, groups
        if inner is None:
            break
        socket = inner
    return None, socket, groups


def read_default(socket: Any) -> NodeValue:
    """The value that a socket shows itself."""
    value = socket.default_value
    if isinstance(value, (int, float)):
        return make_constant(float(value))
    return make_constant(*colorspace.to_rec709(np.array(value[:3])).tolist())


def _layout(socket: Any, groups: tuple[Any, ...]) -> UVLayout:
    """The UVs that a texture's Vector input stands for."""
    node, output, groups = find_source(socket, groups)
    if node is None:
        return UVLayout()
    if node.type == "UVMAP" and not node.from_instancer:
        return UVLayout(node.uv_map)
    if node.type == "TEX_COORD" and output.name == "UV" and not node.from_instancer:
        return UVLayout()
    if node.type == "MAPPING" and node.vector_type == "POINT" and not any(s.is_linked for s in list(node.inputs)[1:]):
        below = _layout(node.inputs["Vector"], groups)
        place, turn, scale = (np.array(node.inputs[k].default_value) for k in ("Location", "Rotation", "Scale"))
        if abs(turn[0]) > 1e-6 or abs(turn[1]) > 1e-6:
            raise Unsupported("UVs that are turned out of their plane")
        c, s = np.cos(turn[2]), np.sin(turn[2])
        matrix = np.array([[c * scale[0], -s * scale[1], place[0]], [s * scale[0], c * scale[1], place[1]], [0, 0, 1]])
        return replace(below, matrix=tuple((matrix @ np.reshape(below.matrix, (3, 3))).ravel().tolist()))
    raise Unsupported(f"an image on {node.bl_label} coordinates")


def read_pixels(image: Any) -> np.ndarray:
    """An image's colours (h, w, 4) float32, row 0 on top, linear Rec.709 unless it is Non-Color; straight alpha.
    Bytes in colour spaces that Blender alone converts are taken for sRGB."""
    width, height = image.size
    small = None
    if max(width, height) > MAX_SIDE:
        small = image.copy()
        factor = MAX_SIDE / max(width, height)
        small.scale(max(1, int(width * factor)), max(1, int(height * factor)))
        width, height = small.size
    flat = np.empty(width * height * image.channels, np.float32)
    (small or image).pixels.foreach_get(flat)
    if small is not None:
        bpy.data.images.remove(small)
    stored = flat.reshape(height, width, -1)[::-1]
    color, alpha = stored[..., :3], stored[..., 3:4]
    if stored.shape[2] < 3:
        color, alpha = stored[..., :1].repeat(3, 2), stored[..., 1:2]
    space = image.colorspace_settings
    if image.is_float and not space.is_data:
        color = colorspace.to_rec709(color)
    elif not (space.is_data or space.name in colorspace.LINEAR):
        color = images.srgb_decode(color)
    return np.concatenate([color, alpha if alpha.size else np.ones_like(color[..., :1])], 2)


def multiply(a: NodeValue, b: NodeValue) -> NodeValue:
    """The product of two values that lie on the same UVs."""
    return _binary(a, b, None, np.multiply, is_product=True)


def _binary(a: NodeValue, b: NodeValue, node: Any, function: Callable, is_product: bool = False) -> NodeValue:
    """function of two values' colours; a tint only survives a product, pixels only beside others on the same UVs."""
    if (a.attribute or b.attribute) and not (is_product and not (a.attribute and b.attribute)):
        _refuse(node)
    if a.layout is not None and b.layout is not None and a.layout != b.layout:
        raise Unsupported(f"{node.label or node.bl_label} of images on different UVs")
    first, second = a.color, b.color
    if first.ndim == second.ndim == 3 and first.shape != second.shape:
        second = resample(second, first.shape)
    color = np.asarray(function(*np.broadcast_arrays(first, second)), np.float32)
    return NodeValue(color, a.layout or b.layout, a.attribute or b.attribute)


def resample(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The nearest pixels of (h, w, ...) for a picture of another shape[:2]."""
    rows = (np.arange(shape[0]) + 0.5) * pixels.shape[0] / shape[0]
    columns = (np.arange(shape[1]) + 0.5) * pixels.shape[1] / shape[1]
    return pixels[rows.astype(int)[:, None], columns.astype(int)]


def _gray(value: NodeValue, node: Any) -> NodeValue:
    return _refuse(node) if value.attribute else replace(value, color=_numbers(images.luminance(value.color[..., :3])))


def _numbers(values: np.ndarray) -> np.ndarray:
    """Numbers (...) as greys (..., 4)."""
    return np.stack([values, values, values, np.ones_like(values)], -1)


def _keep_alpha(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    new = np.array(np.broadcast_to(new, np.broadcast_shapes(old.shape, np.shape(new))), np.float32)
    new[..., 3] = old[..., 3]
    return new


def _refuse(node: Any) -> Any:
    raise Unsupported(node.label or node.bl_label)
