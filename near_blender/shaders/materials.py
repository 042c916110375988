"""Blender's materials as near_core's metallic-roughness materials.

The inputs of a Principled BSDF are followed through its node tree. What cannot be followed is named in a note, and the
input's own value stands in for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np

from .. import colorspace
from .._core import errors
from .._core import image as images
from .._core import mesh as meshes
from . import shader_nodes
from .shader_nodes import Missing, NodeValue, Unsupported, UVLayout

# inputs of a Principled BSDF -> the one that turns it on, and what is lost
LOSSES = {"Transmission Weight": ("Transmission Weight", errors.Message("its Transmission is left out, it is opaque")),
          "Subsurface Weight": ("Subsurface Weight", errors.Message("its Subsurface is left out")),
          "Coat Weight": ("Coat Weight", errors.Message("its Coat is left out")),
          "Sheen Weight": ("Sheen Weight", errors.Message("its Sheen is left out"))}
# other shaders that are read as a Principled BSDF, and what of them is lost
OTHERS = {"EMISSION": "",  # it is black, and glows
          "BSDF_GLASS": errors.Message("it is opaque: its Glass is read as a Principled BSDF"),
          "BSDF_REFRACTION": errors.Message("it is opaque: its Refraction is read as a Principled BSDF"),
          "BSDF_TRANSLUCENT": errors.Message(
              "no light passes through: its Translucent BSDF is read as a Principled BSDF"),
          "SUBSURFACE_SCATTERING": errors.Message("its Subsurface is read as a Principled BSDF")}
EMISSION = "Emission"  # what all shaders of a material send together


@dataclass
class MaterialReading:
    """A material and what its faces need: the UV layout of its maps, the colour attribute that tints it ("" = none),
    and notes for the artist on what could not be followed. computed: notes by the inputs that other nodes than images
    compute, which can be baked. missing: the inputs that cannot: their image is gone, or something else is in their
    place."""

    material: meshes.Material = meshes.Material()
    layout: UVLayout = UVLayout()
    attribute: str = ""
    notes: list[str] = field(default_factory=list)
    computed: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)


def read_material(material: bpy.types.Material | None, called: str = "") -> MaterialReading:
    """The material with its maps. None is Blender's default grey. called: what notes call it, by default its name."""
    if material is None:
        return MaterialReading()
    called = called or material.name
    has_nodes = bpy.app.version >= (5, 0) or material.use_nodes  # always on from 5.0, where asking is deprecated
    if material.node_tree is None or not has_nodes:
        red, green, blue = colorspace.to_rec709(np.array(material.diffuse_color[:3])).tolist()
        color = (red, green, blue, 1.0)
        return MaterialReading(meshes.Material(called, color, material.roughness, material.metallic))
    shader, groups, note = find_shader(material.node_tree)
    reading = MaterialReading(notes=[each for each in (note, *_name_other_outputs(material)) if each])
    if shader is None:
        reading.material = meshes.Material(called)
    else:
        _ShaderReader(called, shader, groups, reading).read()
        if _mixes_emission(material.node_tree, shader):
            reading.computed[EMISSION] = errors.Message("its Emission is mixed with other shaders, it does not glow. "
                                                        "Bake it to keep it")
    reading.notes = [name_loss(called, text) for text in reading.notes]
    reading.computed = {name: name_loss(called, text) for name, text in reading.computed.items()}
    return reading


def name_loss(called: str, text: str) -> str:
    """What is lost of something, in words."""
    return errors.Message("{material}: {loss}", material=called, loss=text)


def find_shader(tree: Any) -> tuple[Any, tuple[Any, ...], str]:
    """The Principled BSDF that reaches the output, or the nearest other shader with a colour; the groups around it."""
    output = tree.get_output_node("CYCLES") or tree.get_output_node("ALL")
    queue = [(output.inputs["Surface"], ())] if output is not None else []
    others: list[tuple[Any, tuple[Any, ...]]] = []
    while queue:
        node, _, groups = shader_nodes.find_source(*queue.pop(0))
        if node is None:
            continue
        if node.type == "BSDF_PRINCIPLED":
            return node, groups, errors.Message("only its Principled BSDF is used") if others or queue else ""
        others.append((node, groups))
        queue += [(socket, groups) for socket in node.inputs if socket.type == "SHADER"]
    for node, groups in sorted(others, key=lambda each: each[0].type == "EMISSION"):  # colours come first
        if (node.type.startswith("BSDF_") or node.type in OTHERS) and "Color" in node.inputs:
            plain = errors.Message("{node} is read as a Principled BSDF", node=node.bl_label)
            return node, groups, OTHERS.get(node.type, plain)
    return None, (), errors.Message("has no surface shader, grey is used")


def _mixes_emission(tree: Any, shader: Any) -> bool:
    """Whether a surface emits by other nodes than the shader that is read."""
    output = tree.get_output_node("CYCLES") or tree.get_output_node("ALL")
    queue, seen = [(output.inputs["Surface"], ())], set()
    while queue:
        node, _, groups = shader_nodes.find_source(*queue.pop())
        if node is None or node == shader or node in seen:
            continue
        seen.add(node)
        socket = node.inputs.get("Strength" if node.type == "EMISSION" else "Emission Strength")
        if socket is not None and (socket.is_linked or socket.default_value > 0):
            return True
        queue += [(each, groups) for each in node.inputs if each.type == "SHADER"]
    return False


def _name_other_outputs(material: Any) -> list[str]:
    """What of a material is no surface, and is lost."""
    output = material.node_tree.get_output_node("CYCLES") or material.node_tree.get_output_node("ALL")
    if output is None:
        return []
    lost: list[str] = []
    if output.inputs["Volume"].is_linked:
        lost.append(errors.Message("its Volume is left out"))
    if output.inputs["Displacement"].is_linked:
        lost.append(errors.Message("its Displacement is left out; a Displace modifier is followed"))
    return lost


class _ShaderReader:
    """Reads one shader node into a MaterialReading."""

    def __init__(self, called: str, shader: Any, groups: tuple[Any, ...], reading: MaterialReading):
        self._name, self._shader, self._groups, self._reading = called, shader, groups, reading
        self._evaluator = shader_nodes.ShaderEvaluator(groups)
        self._layout: UVLayout | None = None

    def read(self) -> None:
        """Fills in the reading's material, UV layout and colour attribute."""
        kind = self._shader.type
        self._name_losses()
        base = shader_nodes.make_constant(0) if kind == "EMISSION" else self._value(
            "Base Color" if kind == "BSDF_PRINCIPLED" else "Color")
        alpha = self._value("Alpha", missing=1)
        roughness = self._value("Coat Roughness" if self._is_coated() else "Roughness", missing=1)
        metallic = self._value("Metallic", missing=float(kind in ("BSDF_GLOSSY", "BSDF_ANISOTROPIC", "BSDF_METALLIC")))
        red, green, blue = _factors(base)
        normal_map, strength = self._normal()
        emission, emission_map = self._emission()
        layout = self._layout or UVLayout()
        self._reading.material = meshes.Material(
            self._name, (red, green, blue, _factors(alpha)[0]), _factors(roughness)[0], _factors(metallic)[0],
            _color_map(base, alpha), _number_map(roughness), _number_map(metallic), normal_map, strength,
            (layout.wrap, layout.wrap), emission, emission_map)
        self._reading.layout = layout
        self._reading.attribute = base.attribute

    def _is_coated(self) -> bool:
        """Whether a clear coat is most of what one sees the surface mirror. There is one gloss: it is that then."""
        names = ("Coat Weight", "Coat Roughness", "Metallic", "Roughness")
        weight, rough, metallic, own = (self._shader.inputs.get(name) for name in names)
        if weight is None or own is None or any(each.is_linked for each in (weight, rough, metallic)):
            return False
        coated = weight.default_value > meshes.COATED and metallic.default_value < meshes.COATED
        return coated and (own.is_linked or own.default_value > rough.default_value)

    def _name_losses(self) -> None:
        """Notes what the shader does that an asset cannot."""
        coated = self._is_coated()
        if coated:
            self._reading.notes.append(errors.Message("its Coat takes the place of its own gloss"))
            self._reading.missing.add("Roughness")
        for name, (switch, what) in LOSSES.items():
            if coated and name == "Coat Weight":
                continue
            socket, color = self._shader.inputs.get(switch), self._shader.inputs.get(name)
            if socket is None or color is None or not (socket.is_linked or socket.default_value > 0):
                continue
            if color.is_linked or not hasattr(color.default_value, "__len__") or any(color.default_value[:3]):
                self._reading.notes.append(what)

    def _value(self, name: str, missing: float = 0.0) -> NodeValue:
        """What the shader's input `name` is worth."""
        socket = self._shader.inputs.get(name)
        if socket is None:
            return shader_nodes.make_constant(missing)
        try:
            return self._require_layout(self._evaluator.evaluate(socket))
        except Unsupported as problem:
            self._note(name, problem, errors.Message(
                "{input} comes from {source}, its own value is used instead. Bake it into an image to keep it",
                input=name, source=str(problem)))
            return shader_nodes.read_default(socket)

    def _note(self, name: str, problem: Unsupported, text: str) -> None:
        """Takes down what of an input cannot be followed."""
        if isinstance(problem, Missing):
            self._reading.notes.append(text)
            self._reading.missing.add(name)
        else:
            self._reading.computed[name] = text

    def _require_layout(self, value: NodeValue) -> NodeValue:
        """One UV layout serves all the maps of a material: the first one met."""
        self._layout = self._layout or value.layout
        if value.layout is not None and value.layout != self._layout:
            raise Unsupported("an image on other UVs than the first")
        return value

    def _emission(self) -> tuple[tuple[float, float, float], np.ndarray | None]:
        """What the shader emits, as meshes.Material has it."""
        name, switch = list_emission(self._shader)
        strength = self._plain(switch)
        if strength.layout is None and strength.color[0] <= 0:
            return (0.0, 0.0, 0.0), None
        color = self._plain(name)
        sent = shader_nodes.multiply(color, strength)
        if sent.layout is not None:
            most, picture = meshes.encode_light(sent.color[..., :3])
            return (most, most, most), picture
        red, green, blue = np.clip(np.nan_to_num(sent.color[:3]), 0, meshes.BRIGHTEST).tolist()
        return (red, green, blue), None

    def _plain(self, name: str) -> NodeValue:
        """As _value; a colour attribute is not followed."""
        value = self._value(name)
        if not value.attribute:
            return value
        self._note(name, Unsupported(value.attribute), errors.Message(
            "{input} comes from {source}, its own value is used instead. Bake it into an image to keep it",
            input=name, source=value.attribute))
        return shader_nodes.read_default(self._shader.inputs[name])

    def _normal(self) -> tuple[np.ndarray | None, float]:
        """The tangent-space normal map (h, w, 3) uint8 and its strength."""
        socket = self._shader.inputs.get("Normal")
        node, _, groups = shader_nodes.find_source(socket, self._groups) if socket is not None else (None, None, ())
        if node is None:
            return None, 1.0
        try:
            if node.type != "NORMAL_MAP" or node.space != "TANGENT" or node.inputs["Strength"].is_linked:
                raise Unsupported(node.label or node.bl_label)
            value = self._require_layout(shader_nodes.ShaderEvaluator(groups).evaluate(node.inputs["Color"]))
        except Unsupported as problem:
            self._note("Normal", problem, errors.Message("Normal comes from {source}, it is left out",
                                                         source=str(problem)))
            return None, 1.0
        if value.layout is None:
            return None, 1.0
        return to_bytes(value.color[..., :3]), float(node.inputs["Strength"].default_value)


def list_emission(shader: Any) -> tuple[str, str]:
    """The inputs of a shader that say in which colour and how strongly it glows."""
    return ("Color", "Strength") if shader.type == "EMISSION" else ("Emission Color", "Emission Strength")


def _factors(value: NodeValue) -> tuple[float, float, float]:
    """The constant (red, green, blue) of a value; 1 where it has pixels, which then say it all."""
    if value.layout is not None:
        return 1.0, 1.0, 1.0
    red, green, blue = np.clip(np.nan_to_num(value.color[:3]), 0, 1).tolist()
    return red, green, blue


def _color_map(base: NodeValue, alpha: NodeValue) -> np.ndarray | None:
    """(h, w, 4) uint8 sRGB with alpha, or None where neither has pixels."""
    if base.layout is None and alpha.layout is None:
        return None
    shape = base.color.shape if base.layout is not None else alpha.color.shape
    color = images.srgb_encode(base.color[..., :3]) if base.layout is not None else np.ones((*shape[:2], 3), np.float32)
    mask = np.ones(shape[:2], np.float32)
    if alpha.layout is not None:
        mask = shader_nodes.resample(alpha.color[..., 0], shape)
    return to_bytes(np.concatenate([color, mask[..., None]], 2))


def _number_map(value: NodeValue) -> np.ndarray | None:
    return None if value.layout is None else to_bytes(value.color[..., 0])


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Values 0..1 as uint8."""
    return np.round(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.uint8)
