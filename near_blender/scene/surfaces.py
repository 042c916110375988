"""What of ordinary objects a draft shows: evaluated triangles by material, with one colour or texture each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np

from .. import colorspace
from ..shaders import materials, shader_nodes
from . import sync

MOST_TRIANGLES = 200_000  # of one mesh: 0.1 s of the main thread
MOST_IN_ALL = 2_000_000
READ_TIME = 0.05  # seconds of the main thread, then the next redraw goes on
COLUMNS = 11  # of a vertex: position, normal, UV, colour
_FARTHEST = 1e9  # metres: what lies beyond has no place in a draft
_SIDES = np.array([[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6], [0, 4, 5], [0, 5, 1], [3, 2, 6], [3, 6, 7],
                   [0, 3, 7], [0, 7, 4], [1, 5, 6], [1, 6, 2]])  # of Object.bound_box


@dataclass(frozen=True)
class Appearance:
    """A material as a draft has it. color: linear Rec.709, multiplied by image and the vertices' colours. emission: in
    the same units as light. opacity: below 1 for glass and the like. image: session_uid, 0 for none: undo may exchange
    the image itself. attribute: what colours the vertices."""

    color: tuple[float, ...] = (0.8, 0.8, 0.8)
    roughness: float = 0.5
    metallic: float = 0.0
    emission: tuple[float, ...] = (0.0, 0.0, 0.0)
    opacity: float = 1.0
    image: int = 0
    attribute: str = ""


@dataclass(frozen=True)
class MeshName:
    """What tells one evaluated mesh from another. ids: session_uid of object, mesh and materials."""

    ids: tuple[int, ...]
    pointer: int
    content: tuple


@dataclass(frozen=True)
class Part:
    """Triangles with one look. vertices: (3 T, COLUMNS) float32, three a triangle, in the object's frame."""

    look: Appearance
    vertices: np.ndarray


@dataclass(frozen=True)
class Shown:
    """An instance. matrix: (4, 4) float32, object -> world. is_asset: it is the proxy of a neural asset, whose picture
    shows that. is_hole: a holdout, an asset's or another's."""

    name: MeshName
    matrix: np.ndarray
    is_asset: bool
    is_hole: bool


@dataclass
class Surfaces:
    """What one viewport's depsgraph shows, read a little at a time.

    boxes: names of the objects that have too many triangles; their bounds stand for them. is_complete: all was read.
    """

    parts: dict[MeshName, list[Part]] = field(default_factory=dict)
    shown: list[Shown] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)
    is_complete: bool = False

    def read(self, depsgraph: bpy.types.Depsgraph, space: Any = None) -> None:
        """Reads where everything is, and what is new of it until READ_TIME is over."""
        end = time.perf_counter() + READ_TIME
        self.shown, self.boxes, self.is_complete = [], [], True
        names: dict[tuple[int, int], MeshName] = {}
        contents: dict[int, tuple] = {}
        layer = depsgraph.view_layer_eval
        matrices = sync.read_matrices(depsgraph.object_instances).astype(np.float32)
        for number, ob in _list_visible(depsgraph, space):
            key = ob.original.session_uid, ob.data.as_pointer()
            if key not in names:
                contents[key[1]] = contents.get(key[1]) or _describe_content(ob.data)
                names[key] = _name_mesh(ob, contents[key[1]])
            name = names[key]
            parts = self.parts.get(name)
            if parts is None:
                if time.perf_counter() > end:
                    self.is_complete = False
                    continue
                parts = self.parts[name] = self._read_parts(ob)
            if len(parts) == 1 and len(parts[0].vertices) < 3 * _count_triangles(ob):
                self.boxes.append(ob.name)
            is_hole = ob.holdout_get(view_layer=layer)
            self.shown.append(Shown(name, matrices[number], sync.is_asset(ob) and not is_hole, is_hole))
        if self.is_complete:
            self._keep({shown.name for shown in self.shown})

    def drop_changed(self, depsgraph: bpy.types.Depsgraph) -> None:
        """Forgets the meshes and materials that Blender says have changed."""
        changed = {update.id.original.session_uid for update in depsgraph.updates
                   if update.is_updated_geometry or update.is_updated_shading}
        self._keep({name for name in self.parts if not changed.intersection(name.ids)})

    def has_ordinary(self) -> bool:
        """Whether anything is shown that the picture of the assets does not show."""
        return any(not shown.is_asset for shown in self.shown)

    def count_triangles(self) -> int:
        """How many triangles all meshes have, each counted once."""
        return sum(len(part.vertices) // 3 for parts in self.parts.values() for part in parts)

    def _keep(self, names: set[MeshName]) -> None:
        self.parts = {name: parts for name, parts in self.parts.items() if name in names}

    def _read_parts(self, ob: Any) -> list[Part]:
        count = _count_triangles(ob)
        if count > MOST_TRIANGLES or self.count_triangles() + count > MOST_IN_ALL:
            return [_read_box(ob)]
        return _read_triangles(ob)


def _list_visible(depsgraph: bpy.types.Depsgraph, space: Any) -> Iterator[tuple[int, Any]]:
    """Numbers of instances and their objects, evaluated, that a camera sees and a draft can show."""
    layer = depsgraph.view_layer_eval
    seen: dict[int, bool] = {}
    for number, instance in enumerate(depsgraph.object_instances):
        ob: Any = instance.object
        if not (instance.show_self and ob.type == "MESH"):  # curves, texts and metaballs come as meshes, too
            continue
        key = ob.as_pointer() if instance.parent is None else id(instance)
        if key not in seen or instance.parent is not None:
            seen[key] = _is_seen(ob, layer) and (
                space is None or (instance.parent or ob).visible_in_viewport_get(space))
        if seen[key]:
            yield number, ob


def _is_seen(ob: Any, layer: bpy.types.ViewLayer) -> bool:
    """Whether cameras see ob, evaluated, or a hole in its place."""
    return ((ob.visible_camera or ob.original.near.is_composited)
            and not ob.indirect_only_get(view_layer=layer))


def _name_mesh(ob: Any, content: tuple) -> MeshName:
    """Objects that share a mesh as it is share its name. content: of the mesh."""
    used = [slot.material.original.session_uid for slot in ob.material_slots if slot.material is not None]
    original = ob.original
    own = original.type != "MESH" or ob.modifiers or ob.mode == "EDIT" or original.data.shape_keys
    uid = original.session_uid if own else 0
    return MeshName((uid, ob.data.original.session_uid, *used), ob.data.as_pointer() if own else 0, content)


def _describe_content(mesh: Any) -> tuple:
    """About what an evaluated mesh holds: undo may put another in its place."""
    vertices = mesh.vertices
    some = range(0, len(vertices), max(1, len(vertices) // 8))
    return len(vertices), len(mesh.loops), tuple(tuple(vertices[index].co) for index in some)


def _count_triangles(ob: Any) -> int:
    return max(len(ob.data.loops) - 2 * len(ob.data.polygons), 0)


def _read_box(ob: Any) -> Part:
    """The bounds of ob in its viewport colour."""
    corners = np.nan_to_num(np.array(ob.bound_box, np.float32), posinf=0, neginf=0)[_SIDES]
    slot = next((slot.material for slot in ob.material_slots if slot.material is not None), None)
    color = (0.8, 0.8, 0.8) if slot is None else _to_rec709(slot.diffuse_color)
    return Part(Appearance(color), _lay_out(corners, None, None, None))


def _read_triangles(ob: Any) -> list[Part]:
    data = ob.data if ob.mode != "EDIT" else ob.to_mesh()
    try:
        if data is None or not len(data.polygons):
            return []
        data.calc_loop_triangles()
        looks = [read_look(slot.material) for slot in ob.material_slots] or [Appearance()]
        count = len(data.loop_triangles)
        corners = _get(data.loop_triangles, "loops", (count, 3), np.int32)
        slots = _get(data.loop_triangles, "material_index", (count,), np.int32).clip(0, len(looks) - 1)
        vertex = _get(data.loops, "vertex_index", (len(data.loops),), np.int32)
        position = _get(data.vertices, "co", (len(data.vertices), 3))
        position[~(np.abs(position) < _FARTHEST).all(1)] = 0
        normal = _get(data.corner_normals, "vector", (len(data.loops), 3))
        layer = next((each for each in data.uv_layers if each.active_render), None)
        uv = None if layer is None else _get(layer.uv, "vector", (len(data.loops), 2))
        parts = []
        for index, look in enumerate(looks):
            chosen = corners[slots == index]
            if len(chosen):
                color = _read_colors(data, look.attribute, vertex)
                parts.append(Part(look, _lay_out(position[vertex[chosen]], normal[chosen],
                                                 None if uv is None else uv[chosen],
                                                 None if color is None else color[chosen])))
        return parts
    finally:
        if data is not ob.data:
            ob.to_mesh_clear()


def _lay_out(position: np.ndarray, normal: np.ndarray | None, uv: np.ndarray | None, color: np.ndarray | None
             ) -> np.ndarray:
    """Part.vertices of corners (T, 3, C); flat and white where nothing else is given."""
    vertices = np.ones((len(position), 3, COLUMNS), np.float32)
    vertices[..., :3] = position
    if normal is None:
        flat = np.cross(position[:, 1] - position[:, 0], position[:, 2] - position[:, 0])
        normal = (flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30))[:, None]
    vertices[..., 3:6], vertices[..., 6:8] = normal, 0 if uv is None else uv
    if color is not None:
        vertices[..., 8:] = color
    return vertices.reshape(-1, COLUMNS)


def _read_colors(data: Any, name: str, vertex: np.ndarray) -> np.ndarray | None:
    """(corners, 3) linear Rec.709 of a colour attribute; None where there is none."""
    layer = data.color_attributes.get(name) if name else None
    if layer is None or layer.domain not in ("POINT", "CORNER"):
        return None
    values = colorspace.to_rec709(_get(layer.data, "color", (len(layer.data), 4))[:, :3])
    return values if layer.domain == "CORNER" else values[vertex]


def _get(collection: Any, name: str, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    values: np.ndarray = np.empty(int(np.prod(shape)), dtype)
    collection.foreach_get(name, values)
    return values.reshape(shape)


# --- materials


def read_look(material: Any) -> Appearance:
    """The look of a material: what its main shader is plainly given, the viewport's colour for what is computed."""
    if material is None:
        return Appearance()
    plain = _to_rec709(material.diffuse_color)
    if not material.node_tree or not (bpy.app.version >= (5, 0) or material.use_nodes):
        return Appearance(plain, material.roughness, material.metallic)
    shader, groups, _ = materials.find_shader(material.node_tree)
    if shader is None:
        return Appearance(plain)
    inputs = shader.inputs
    color, image, attribute = _read_color(inputs.get("Base Color") or inputs.get("Color"), groups, plain)
    glow = inputs.get("Emission Color") or (inputs.get("Color") if shader.type == "EMISSION" else None)
    strength = _read_number(inputs, "Emission Strength" if shader.type != "EMISSION" else "Strength", groups, 0.0)
    sent, _, places = (plain, 0, "") if glow is None else _read_color(glow, groups, plain)
    # what glows in places, as a proxy does, is not shown to glow as a whole
    emission = (0.0, 0.0, 0.0) if glow is None or not strength or places else sent
    through = _read_number(inputs, "Transmission Weight", groups, float("GLASS" in shader.type))
    return Appearance(color, _read_number(inputs, "Roughness", groups, 0.5),
                      _read_number(inputs, "Metallic", groups, 0.0), tuple(strength * value for value in emission),
                      min(_read_number(inputs, "Alpha", groups, 1.0), 1 - 0.75 * through), image, attribute)


def _read_color(socket: Any, groups: tuple, plain: tuple[float, ...]) -> tuple[tuple[float, ...], int, str]:
    """Colour, number of an image and vertex colours that an input shows, `plain` where other nodes compute that."""
    if socket is None:
        return plain, 0, ""
    node, source, _ = shader_nodes.find_source(socket, groups)
    if node is None:
        return _to_rec709(source.default_value), 0, ""
    if node.type == "TEX_IMAGE" and node.image is not None and node.image.size[0]:
        return (1.0, 1.0, 1.0), node.image.original.session_uid, ""
    if node.type in ("ATTRIBUTE", "VERTEX_COLOR"):
        name = node.attribute_name if node.type == "ATTRIBUTE" else node.layer_name
        return (1.0, 1.0, 1.0), 0, name
    if node.type == "VALTORGB":
        middle = [node.color_ramp.evaluate(at) for at in np.linspace(0.1, 0.9, 9)]
        return _to_rec709(np.mean(np.array(middle), 0)), 0, ""
    if node.type == "RGB":
        return _to_rec709(node.outputs[0].default_value), 0, ""
    return plain, 0, ""


def _read_number(inputs: Any, name: str, groups: tuple, otherwise: float) -> float:
    socket = inputs.get(name)
    if socket is None:
        return otherwise
    node, source, _ = shader_nodes.find_source(socket, groups)
    return float(source.default_value) if node is None else otherwise


def _to_rec709(color: Any) -> tuple[float, ...]:
    return tuple(colorspace.to_rec709(np.array(color[:3], np.float64)).tolist())
