"""Blender's material nodes as near_core's metallic-roughness materials.

A Principled BSDF's inputs are followed through image textures, colour attributes, constants and the nodes that only
route, pick a channel, multiply or invert. What else is connected is named in a note and the input's own value is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import bpy
import numpy as np

from . import colorspace
from ._core import image as images
from ._core import mesh as meshes

MAX_SIDE = 4096  # pixels; larger textures are scaled down first
_WRAP = {"REPEAT": "repeat", "MIRROR": "mirror"}
_CHANNELS = {"Red": 0, "Green": 1, "Blue": 2, "Alpha": 3}


@dataclass(frozen=True)
class Layout:
    """Where on a texture a corner lies. layer: name of the UV map, "" = the active one; matrix: (3, 3) on (u, v, 1)."""

    layer: str = ""
    matrix: tuple = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Value:
    """What an input is worth: factor (4,) times an image's pixels or one of its channels, times an attribute's colours."""

    factor: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    image: bpy.types.Image | None = None
    channel: int | None = None
    inverted: bool = False
    attribute: str = ""
    layout: Layout = Layout()
    wrap: str = "repeat"


@dataclass
class Reading:
    """A material and what its faces need: the UV layout of its maps, the colour attribute that tints it ("" = none),
    and notes for the artist on what could not be followed."""

    material: meshes.Material = meshes.Material()
    layout: Layout = Layout()
    attribute: str = ""
    notes: list[str] = field(default_factory=list)


class Unsupported(Exception):
    """A node that cannot be followed; the text names it."""


def read(material: bpy.types.Material | None) -> Reading:
    """The material with its maps. None is Blender's default grey."""
    if material is None:
        return Reading()
    has_nodes = bpy.app.version >= (5, 0) or material.use_nodes  # always on from 5.0, where asking is deprecated
    if material.node_tree is None or not has_nodes:
        red, green, blue = colorspace.to_rec709(np.array(material.diffuse_color[:3])).tolist()
        return Reading(meshes.Material(material.name, (red, green, blue, 1.0), material.roughness, material.metallic))
    shader, note = _find_shader(material.node_tree)
    reading = Reading(notes=[note] if note else [])
    if shader is None:
        reading.material = meshes.Material(material.name)
    else:
        _Reader(material, shader, reading).read()
    reading.notes = [f"{material.name}: {text}" for text in reading.notes]
    return reading


def _find_shader(tree: Any) -> tuple[Any, str]:
    """The Principled BSDF that reaches the output, or the nearest other shader with a colour."""
    output = tree.get_output_node("CYCLES") or tree.get_output_node("ALL")
    queue = [output] if output is not None else []
    seen, other = set(), None
    while queue:
        node = queue.pop(0)
        if node in seen:
            continue
        seen.add(node)
        if node.type == "BSDF_PRINCIPLED":
            return node, "only its Principled BSDF is used" if other or len(seen) > 2 else ""
        if node.type.startswith("BSDF_") and "Color" in node.inputs:
            other = other or node
        queue += [link.from_node for socket in node.inputs for link in socket.links
                  if socket.type == "SHADER" and not link.is_muted]
    return other, f"{other.bl_label} is read as a Principled BSDF" if other else "has no surface shader, grey is used"


class _Reader:
    """Reads one shader node into a Reading."""

    def __init__(self, material: bpy.types.Material, shader: Any, reading: Reading):
        self._name, self._shader, self._reading = material.name, shader, reading
        self._layout: Layout | None = None
        self._wrap = "repeat"

    def read(self) -> None:
        base = self._value("Base Color" if self._shader.type == "BSDF_PRINCIPLED" else "Color")
        alpha, roughness, metallic = self._value("Alpha"), self._value("Roughness"), self._value("Metallic")
        if self._shader.type == "BSDF_DIFFUSE":
            roughness = Value()
        elif self._shader.type in ("BSDF_GLOSSY", "BSDF_ANISOTROPIC", "BSDF_METALLIC"):
            metallic = Value()
        red, green, blue = (float(c) for c in np.clip(np.nan_to_num(base.factor[:3]), 0, 1))
        base_map = _color_map(base, alpha)
        normal_map, strength = self._normal()
        self._reading.material = meshes.Material(
            self._name, (red, green, blue, _scalar(alpha)), _scalar(roughness), _scalar(metallic),
            base_map, _channel_map(roughness), _channel_map(metallic), normal_map, strength, (self._wrap, self._wrap))
        self._reading.layout = self._layout or Layout()
        self._reading.attribute = base.attribute

    def _value(self, name: str) -> Value:
        """What the shader's input `name` is worth; an input it does not have counts as 0, Alpha as 1."""
        socket = self._shader.inputs.get(name)
        if socket is None:
            return Value() if name == "Alpha" else Value((0.0,) * 4)
        try:
            value = follow(socket)
        except Unsupported as problem:
            self._reading.notes.append(f"{name} comes from {problem}, its own value is used instead")
            return _constant(socket)
        if value.image is None:
            return value
        if not self._has_pixels(value.image) or not self._agrees(value):
            return _constant(socket)
        return value

    def _has_pixels(self, image: Any) -> bool:
        if min(image.size) > 0 and len(image.pixels):
            return True
        self._reading.notes.append(f"the image {image.name} is missing, the input's own value is used instead")
        return False

    def _agrees(self, value: Value) -> bool:
        """One UV layout serves all the maps of a material: the first one met."""
        if self._layout is None:
            self._layout, self._wrap = value.layout, value.wrap
        if value.layout == self._layout:
            return True
        self._reading.notes.append(f"the image {value.image.name} lies on other UVs than the first, it is left out")
        return False

    def _normal(self) -> tuple[np.ndarray | None, float]:
        """The tangent-space normal map (h, w, 3) uint8 and its strength."""
        socket = self._shader.inputs.get("Normal")
        node = _source(socket)[0] if socket is not None else None
        if node is None:
            return None, 1.0
        if node.type != "NORMAL_MAP" or node.space != "TANGENT" or node.inputs["Strength"].is_linked:
            self._reading.notes.append(f"Normal comes from {node.bl_label}, it is left out")
            return None, 1.0
        try:
            value = follow(node.inputs["Color"])
        except Unsupported as problem:
            self._reading.notes.append(f"Normal comes from {problem}, it is left out")
            return None, 1.0
        if value.image is None or not self._has_pixels(value.image) or not self._agrees(value):
            return None, 1.0
        return _to_bytes(pixels(value.image)[..., :3]), float(node.inputs["Strength"].default_value)


def follow(socket: Any) -> Value:
    """What arrives at an input socket. Raises Unsupported."""
    node, output = _source(socket)
    if node is None:
        return _constant(socket)
    handler = _HANDLERS.get(node.type)
    if handler is None:
        raise Unsupported(node.label or node.bl_label)
    return handler(node, output)


def _source(socket: Any) -> tuple[Any, Any]:
    """The node and output an input is connected to, past reroutes and muted links."""
    while socket.is_linked and socket.links and not socket.links[0].is_muted:
        link = socket.links[0]
        if link.from_node.type != "REROUTE":
            return link.from_node, link.from_socket
        socket = link.from_node.inputs[0]
    return None, None


def _constant(socket: Any) -> Value:
    value = socket.default_value
    if isinstance(value, (int, float)):
        return Value((float(value),) * 4)
    return Value((*colorspace.to_rec709(np.array(value[:3])).tolist(), 1.0))


def _from_texture(node, output) -> Value:
    if node.image is None or node.projection != "FLAT":
        raise Unsupported(f"{node.bl_label} without {'an image' if node.image is None else 'flat projection'}")
    channel = 3 if output.name == "Alpha" else None
    return Value(image=node.image, channel=channel, layout=_layout(node.inputs["Vector"]),
                 wrap=_WRAP.get(node.extension, "clamp"))


def _layout(socket: Any) -> Layout:
    """The UVs that a texture's Vector input stands for."""
    node, output = _source(socket)
    if node is None:
        return Layout()
    if node.type == "UVMAP" and not node.from_instancer:
        return Layout(node.uv_map)
    if node.type == "TEX_COORD" and output.name == "UV" and not node.from_instancer:
        return Layout()
    if node.type == "MAPPING" and node.vector_type == "POINT" and not any(s.is_linked for s in list(node.inputs)[1:]):
        below = _layout(node.inputs["Vector"])
        place, turn, scale = (np.array(node.inputs[k].default_value) for k in ("Location", "Rotation", "Scale"))
        if abs(turn[0]) > 1e-6 or abs(turn[1]) > 1e-6:
            raise Unsupported("UVs that are turned out of their plane")
        c, s = np.cos(turn[2]), np.sin(turn[2])
        matrix = np.array([[c * scale[0], -s * scale[1], place[0]], [s * scale[0], c * scale[1], place[1]], [0, 0, 1]])
        return replace(below, matrix=tuple((matrix @ np.reshape(below.matrix, (3, 3))).ravel().tolist()))
    raise Unsupported(f"an image on {node.bl_label} coordinates")


def _from_attribute(node, output) -> Value:
    if output.name != "Color":
        raise Unsupported(f"the {output.name} of {node.bl_label}")
    if node.type == "VERTEX_COLOR":
        return Value(attribute=node.layer_name or "*")
    if node.attribute_type != "GEOMETRY":
        raise Unsupported(f"an attribute of the {node.attribute_type.lower()}")
    return Value(attribute=node.attribute_name)


def _from_channel(node, output) -> Value:
    value = follow(node.inputs[0])
    channel = _CHANNELS.get(output.name, {"R": 0, "G": 1, "B": 2}.get(output.name))
    if getattr(node, "mode", "RGB") != "RGB" or value.attribute or value.channel is not None or channel is None:
        raise Unsupported(node.bl_label)
    return replace(value, factor=(value.factor[channel],) * 4, channel=channel if value.image else None)


def _from_mix(node, output) -> Value:
    """A multiply node; with factor 0 or 1 a plain mix too."""
    kind = "RGBA" if node.type == "MIX_RGB" else node.data_type
    inputs = [s for s in node.inputs if s.enabled and s.type in ("VALUE", "RGBA")]
    factor, a, b = inputs[0], inputs[1], inputs[2]
    weight = None if factor.is_linked else float(factor.default_value)
    if weight == 0:
        return follow(a)
    if weight == 1 and (kind != "RGBA" or node.blend_type == "MIX"):
        return follow(b)
    if weight == 1 and node.blend_type == "MULTIPLY":
        return _product(follow(a), follow(b), node)
    raise Unsupported(node.label or node.bl_label)


def _from_math(node, output) -> Value:
    if node.operation == "MULTIPLY" and not node.use_clamp:
        return _product(follow(node.inputs[0]), follow(node.inputs[1]), node)
    if node.operation == "SUBTRACT" and not node.inputs[0].is_linked and node.inputs[0].default_value == 1:
        return _inverse(follow(node.inputs[1]), node)
    raise Unsupported(f"{node.bl_label} ({node.operation.title()})")


def _from_invert(node, output) -> Value:
    if node.inputs["Fac"].is_linked or node.inputs["Fac"].default_value != 1:
        raise Unsupported(node.bl_label)
    return _inverse(follow(node.inputs["Color"]), node)


def _from_gray(node, output) -> Value:
    value = follow(node.inputs[0])
    if value.image is not None or value.attribute:
        raise Unsupported(node.bl_label)
    return Value((float(np.dot(value.factor[:3], (0.2126, 0.7152, 0.0722))),) * 4)


def _product(a: Value, b: Value, node) -> Value:
    if (a.image and b.image) or (a.attribute and b.attribute) or a.inverted or b.inverted:
        raise Unsupported(node.label or node.bl_label)
    picture = a if a.image else b
    return replace(picture, factor=tuple(x * y for x, y in zip(a.factor, b.factor)), attribute=a.attribute or b.attribute)


def _inverse(value: Value, node) -> Value:
    if value.image is None and not value.attribute:
        return Value(tuple(1 - f for f in value.factor))
    if value.attribute or value.factor != (1.0,) * 4:
        raise Unsupported(node.bl_label)
    return replace(value, inverted=not value.inverted)


_HANDLERS = {
    "TEX_IMAGE": _from_texture, "VERTEX_COLOR": _from_attribute, "ATTRIBUTE": _from_attribute,
    "SEPARATE_COLOR": _from_channel, "SEPRGB": _from_channel, "MIX": _from_mix, "MIX_RGB": _from_mix,
    "MATH": _from_math, "INVERT": _from_invert, "RGBTOBW": _from_gray,
    "RGB": lambda node, output: _constant(output), "VALUE": lambda node, output: _constant(output),
}


def pixels(image: Any) -> np.ndarray:
    """An image's stored pixels (h, w, 4) float32, row 0 on top: encoded 0..1 for 8-bit images, linear for float ones."""
    width, height = image.size
    small = None
    if max(width, height) > MAX_SIDE:
        small = image.copy()
        factor = MAX_SIDE / max(width, height)
        small.scale(max(1, int(width * factor)), max(1, int(height * factor)))
        image, (width, height) = small, small.size
    flat = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(flat)
    values = flat.reshape(height, width, -1)[::-1]
    if small is not None:
        bpy.data.images.remove(small)
    if values.shape[2] == 1:
        values = values.repeat(3, 2)
    if values.shape[2] == 3:
        values = np.concatenate([values, np.ones_like(values[..., :1])], 2)
    return values


def _is_encoded(image: bpy.types.Image) -> bool:
    """Whether its stored pixels are sRGB; everything else counts as linear."""
    return not image.is_float and image.colorspace_settings.name == "sRGB"


def _color_map(base: Value, alpha: Value) -> np.ndarray | None:
    """(h, w, 4) uint8 sRGB with alpha, or None where neither is an image."""
    if base.image is None and alpha.image is None:
        return None
    if base.image is None:
        mask = _gray(alpha)
        color = np.ones((*mask.shape, 3), np.float32)
    else:
        stored = pixels(base.image)
        color = stored[..., :3]
        if base.channel is not None:
            color = stored[..., base.channel, None].repeat(3, 2)
        if not _is_encoded(base.image):
            color = images.srgb_encode(color)
        if base.inverted:
            color = images.srgb_encode(1 - images.srgb_decode(color))
        mask = np.ones(color.shape[:2], np.float32) if alpha.image is None else _resampled(_gray(alpha), color.shape[:2])
    return _to_bytes(np.concatenate([color, mask[..., None]], 2))


def _channel_map(value: Value) -> np.ndarray | None:
    return None if value.image is None else _to_bytes(_gray(value))


def _gray(value: Value) -> np.ndarray:
    """An image as the number that arrives at a socket, (h, w) float32: a channel, or the luminance."""
    stored = pixels(value.image)
    color = images.srgb_decode(stored[..., :3]) if _is_encoded(value.image) else stored[..., :3]
    if value.channel is None:
        gray = color @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    else:
        gray = stored[..., 3] if value.channel == 3 else color[..., value.channel]
    return 1 - gray if value.inverted else gray


def _resampled(gray: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    rows = (np.arange(shape[0]) + 0.5) * gray.shape[0] / shape[0]
    columns = (np.arange(shape[1]) + 0.5) * gray.shape[1] / shape[1]
    return gray[rows.astype(int)[:, None], columns.astype(int)]


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.round(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.uint8)


def _scalar(value: Value) -> float:
    return float(np.clip(np.mean(value.factor[:3]), 0, 1))
