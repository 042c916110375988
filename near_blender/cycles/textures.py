"""An object's surface, with what its materials compute baked into maps by Cycles, in the second Blender.

Each input is shown as emission and baked on an unwrapping of its own, so that any node may compute it: procedural
textures, geometry, attributes. Several images on different UVs of one material become one map, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from .. import colorspace
from .._core import errors
from .._core import image as images
from .._core import mesh as meshes
from ..client import cycles_loss
from ..scene import geometry
from ..shaders import materials, node_trees, shader_nodes
from .stage import add_object, alone, append, set_up

_data: Any = bpy.data  # the stubs lack some of it
UV = "NeAR Bake"
SAMPLES = 4  # within each texel
MARGIN = 6  # texels around each island
_MOST_UVS = 8  # of a mesh
_BENDS = {"ARMATURE", "CAST", "CLOTH", "CORRECTIVE_SMOOTH", "CURVE", "DISPLACE", "HOOK", "LAPLACIANDEFORM",
         "LAPLACIANSMOOTH", "LATTICE", "MESH_CACHE", "MESH_DEFORM", "SHRINKWRAP", "SIMPLE_DEFORM", "SMOOTH",
         "SOFT_BODY", "SURFACE_DEFORM", "WARP", "WAVE"}  # modifiers that move vertices and leave all else
APART = 0.004  # islands from each other, in sides of the map
COLOR, NUMBERS, NORMAL = "Base Color", ("Alpha", "Roughness", "Metallic"), "Normal"
# the first two are the surface's own, as it is wired
_OWN = (NORMAL, materials.EMISSION)
_BAKED = (*_OWN, COLOR, *NUMBERS)


def read(request: Any) -> dict[str, Any]:
    """`mesh`, a near_core.mesh.Mesh, and `matrix` as geometry.ObjectSurface's, and `notes` on what is missing of its
    materials still.

    request: path of a .blend file, name of the object in it, frame and subframe, painted, side of the maps in texels,
    where 0 is for none. Raises NearError, Cancelled.
    """
    with _alone() as scene:
        ob = _append(request)
        set_up(scene)
        scene.frame_set(request["frame"], subframe=request["subframe"])
        scene.cycles.samples, scene.cycles.device, scene.cycles.use_denoising = SAMPLES, "CPU", False
        pieces, parts, matrix, lost = _realize(ob, scene, request["name"])
        readings = {}
        for number, piece in enumerate(pieces):
            request.progress("Baking materials" if request["side"] else "Reading the mesh", number / len(pieces))
            readings[piece] = _Bake(scene, piece, request["side"]).run()
        mesh = geometry.join([_read(piece.mesh, place, readings[piece]) for piece, place in parts])
        notes = [*lost, *(note for each in readings.values() for reading in each for note in reading.notes)]
        return {"mesh": meshes.check(mesh, request["name"]), "notes": list(dict.fromkeys(notes)), "matrix": matrix}


@contextlib.contextmanager
def _alone() -> Iterator[Any]:
    """As stage.alone; meanwhile the materials of the open scene have other names: what is appended keeps its own."""
    names = {material: material.name for material in _data.materials if material.library is None}
    for number, material in enumerate(names):
        material.name = f"NeAR {number}"
    try:
        with alone("Textures") as scene:
            yield scene
    finally:
        for material, name in names.items():
            material.name = name


def _append(request: Any) -> Any:
    before = set(bpy.data.images)
    ob = append("objects", request)
    cycles_loss.restore_painted(request["painted"], set(bpy.data.images) - before)
    return ob


@dataclass(frozen=True, eq=False)
class _BakedPart:
    """A mesh as it is evaluated, with materials of its own and their names, and where it stands in the world."""

    mesh: Any
    materials: list[Any]
    names: list[str]
    matrix: np.ndarray


def _realize(ob: Any, scene: Any, name: str
             ) -> tuple[list[_BakedPart], list[tuple[_BakedPart, np.ndarray]], np.ndarray, list[str]]:
    """What the surface of ob consists of, each piece with the places of its instances, as read_mesh has them, ob's own
    place, (4, 4), and what of it is no surface, in words. name: the artist's of it; here it may have a number."""
    pieces: dict[tuple, _BakedPart] = {}
    firsts: dict[tuple, int] = {}  # the number of the first part that is such a piece
    parts, sources = list[tuple[_BakedPart, np.ndarray]](), {ob}
    with geometry.evaluate_alone(ob, scene) as (alone, depsgraph):
        matrix = np.array(alone.evaluated_get(depsgraph).matrix_world, np.float64)
        for each, place in geometry.list_parts(depsgraph):
            sources |= {each.original} - {alone}
            own = geometry.list_materials(each, each.data)
            key = each.data.as_pointer(), tuple(material and material.name_full for material in own)
            if key not in pieces:
                mesh: Any = bpy.data.meshes.new_from_object(each, preserve_all_data_layers=True, depsgraph=depsgraph)
                if each.type == "MESH":
                    _keep_generated(mesh, each.data)
                firsts[key] = len(parts)
                pieces[key] = _BakedPart(mesh, [material and material.original.copy() for material in own],
                                         ["" if material is None else material.name for material in own], place)
            moved = place.copy()
            moved[:3, 3] -= matrix[:3, 3]
            parts.append((pieces[key], moved))
        lost = geometry.name_lost(depsgraph, name)
    for each in sources:
        _straighten(each)
    with geometry.evaluate_alone(ob, scene) as (_, depsgraph):
        straight = [each.data for each, _ in geometry.list_parts(depsgraph)]
        for key, number in firsts.items():
            if len(straight) == len(parts) and isinstance(straight[number], bpy.types.Mesh):
                _keep_straight(pieces[key].mesh, straight[number])
    return [piece for piece in pieces.values() if len(piece.mesh.polygons)], [
        (piece, place) for piece, place in parts if len(piece.mesh.polygons)], matrix, lost


def _keep_generated(mesh: Any, source: Any) -> None:
    """Generated coordinates count in the source's box, which modifiers may have changed."""
    location, size = tuple(source.texspace_location), tuple(source.texspace_size)
    mesh.use_auto_texspace = False
    mesh.texspace_location, mesh.texspace_size = location, size


def _straighten(ob: Any) -> None:
    """Takes away what moves vertices of ob, an object that goes in the end."""
    if ob.library is not None:  # the open scene may show it, too
        return
    ob.show_only_shape_key, ob.active_shape_key_index = True, 0
    if ob.parent_type in ("ARMATURE", "LATTICE", "CURVE"):
        ob.parent_type = "OBJECT"
    for modifier in ob.modifiers:
        if modifier.type in _BENDS:
            modifier.show_viewport = modifier.show_render = False


def _keep_straight(mesh: Any, straight: Any) -> None:
    """They are those of the surface before it is bent. straight: that, where it has the same vertices."""
    count = len(mesh.vertices)
    if len(straight.vertices) != count:
        return
    bent, before = np.empty((2, count * 3), np.float32)
    mesh.vertices.foreach_get("co", bent)
    straight.vertices.foreach_get("co", before)
    if np.allclose(bent, before, atol=1e-6):
        return
    mesh.texture_mesh = bpy.data.meshes.new("NeAR")
    mesh.texture_mesh.vertices.add(count)
    mesh.texture_mesh.vertices.foreach_set("co", before)
    _keep_generated(mesh.texture_mesh, mesh)


def _make_room(mesh: Any, materials: list[Any]) -> None:
    """Has a mesh take one more UV map. Raises NearError where all that it can have are in use."""
    if len(mesh.uv_layers) < _MOST_UVS:
        return
    nodes = [node for material in materials if material is not None and material.node_tree is not None
             for tree in node_trees.list_trees(material.node_tree) for node in tree.nodes]
    used = {getattr(node, name, "") for node in nodes for name in ("uv_map", "attribute_name")}
    spare = next((layer for layer in reversed(mesh.uv_layers) if layer.name not in used and not layer.active_render),
                 None)
    if spare is None:
        raise errors.NearError("{name} has no room for another UV map.", "Remove one that no material uses.",
                               name=mesh.name)
    mesh.uv_layers.remove(spare)


def _read(mesh: Any, place: np.ndarray, readings: list[materials.MaterialReading]) -> meshes.Mesh:
    mesh.calc_loop_triangles()
    return geometry.read_triangles(mesh, place, readings)


class _Bake:
    """The bake of one piece."""

    def __init__(self, scene: Any, piece: _BakedPart, side: int) -> None:
        self._scene, self._piece, self._side = scene, piece, side
        self._readings = [materials.read_material(each, piece.names[number])
                          for number, each in enumerate(piece.materials)]
        self._slots = {number: _Rewiring(piece.materials[number], reading.missing, set(reading.computed))
                       for number, reading in enumerate(self._readings) if reading.computed}

    def run(self) -> list[materials.MaterialReading]:
        """The readings of its materials, baked where something is computed."""
        if not self._side:
            return [replace(each, notes=[*each.notes, *each.computed.values()]) for each in self._readings]
        if not self._slots:
            return self._readings
        mesh = self._piece.mesh
        for number, material in enumerate(self._piece.materials):  # to clear them would forget which face has which
            if number < len(mesh.materials):
                mesh.materials[number] = material
            else:
                mesh.materials.append(material)
        ob = add_object(self._scene, mesh)
        ob.matrix_world = Matrix(self._piece.matrix.tolist())
        self._scene.view_layers[0].objects.active = ob
        ob.select_set(True)
        try:
            _make_room(mesh, self._piece.materials)
            mesh.uv_layers.new(name=UV)
            mesh.uv_layers.active = mesh.uv_layers[UV]
            for number in self._slots:
                self._unwrap(mesh, number)
            if mesh.texture_mesh is not None:
                ob.shape_key_add(name="Basis")  # it counts where something moves vertices
            maps = {name: self._bake_input(name) for name in _BAKED
                    if any(name in slot.linked for slot in self._slots.values())}
        finally:
            bpy.data.objects.remove(ob)
        return [self._dress(number, reading, {name: maps[name][number] for name in maps if number in maps[name]})
                if number in self._slots else reading for number, reading in enumerate(self._readings)]

    def _unwrap(self, mesh: Any, number: int) -> None:
        """Lays the faces of a slot out on a map of their own."""
        self._scene.tool_settings.mesh_select_mode = False, False, True
        slots = np.empty(len(mesh.polygons), np.int32)
        mesh.polygons.foreach_get("material_index", slots)
        mesh.polygons.foreach_set("select", slots == number)
        mesh.polygons.foreach_set("hide", np.zeros(len(slots), bool))
        bpy.ops.object.mode_set(mode="EDIT")
        try:
            bpy.ops.uv.smart_project(island_margin=APART, scale_to_bounds=False)
        finally:
            bpy.ops.object.mode_set(mode="OBJECT")

    def _bake_input(self, name: str) -> dict[int, np.ndarray]:
        """What arrives at an input, by the slots in which something does: (side, side, 3) uint8, row 0 on top; colours
        are sRGB, numbers (side, side), emission float32."""
        targets = {}
        for number, material in enumerate(self._piece.materials):
            wanted = number in self._slots and name in self._slots[number].linked
            size = self._side if wanted else 4
            image: Any = bpy.data.images.new(f"{UV} {number}", size, size, alpha=False, float_buffer=True, is_data=True)
            if material is not None and material.node_tree is not None:
                _receive(material.node_tree, image)
            if wanted:
                targets[number] = image
                if name not in _OWN:
                    self._slots[number].show(name)
        bpy.ops.object.bake(type="NORMAL" if name == NORMAL else "EMIT", margin=MARGIN, use_clear=True, uv_layer=UV,
                            target="IMAGE_TEXTURES", save_mode="INTERNAL", normal_space="TANGENT")
        return {number: _encode(_take(image), name) for number, image in targets.items()}

    def _dress(self, number: int, reading: materials.MaterialReading, maps: dict[str, np.ndarray]
               ) -> materials.MaterialReading:
        """A reading with maps in the place of what is computed."""
        plain = reading.material
        color, alpha = maps.get(COLOR), maps.get("Alpha")
        base = None
        if color is not None or alpha is not None:
            base = np.full((self._side, self._side, 4), 255, np.uint8)
            if color is not None:
                base[..., :3] = color
            if alpha is not None:
                base[..., 3] = alpha
        factors = (*((1.0,) * 3 if color is not None else plain.base_color[:3]),
                   1.0 if alpha is not None else plain.base_color[3])
        made: dict[str, Any] = {"base_color": factors, "base_color_map": base, "wrap": ("clamp", "clamp"),
                                "normal_map": maps.get(NORMAL), "normal_scale": 1.0}
        if materials.EMISSION in maps:
            most, picture = meshes.encode_light(maps[materials.EMISSION])
            made |= {"emission": (most, most, most), "emission_map": picture}
        for name in ("Roughness", "Metallic"):
            key = name.lower()
            made[f"{key}_map"] = maps.get(name)
            made[key] = 1.0 if name in maps else getattr(plain, key)
        return materials.MaterialReading(replace(plain, **made), shader_nodes.UVLayout(UV, wrap="clamp"),
                                         notes=reading.notes)


@dataclass
class _Rewiring:
    """A material whose surface can be what one of its shader's inputs receives. missing: inputs that are left alone.
    computed: what is wanted all the same. linked: what is baked, by inputs that receive anything."""

    material: Any
    missing: set[str]
    computed: set[str]
    linked: dict[str, Any] = field(default_factory=dict)  # by our names: the sockets

    def __post_init__(self) -> None:
        self._shader, self._groups, _ = materials.find_shader(self.material.node_tree)
        for depth in range(len(self._groups)):  # of its own: other materials may share them
            self._groups[depth].node_tree = self._groups[depth].node_tree.copy()
            self._shader, self._groups, _ = materials.find_shader(self.material.node_tree)
        for name in _BAKED:
            socket = self._shader.inputs.get(name)
            if socket is None and name == COLOR and self._shader.type != "EMISSION":
                socket = self._shader.inputs.get("Color")
            if socket is not None and socket.is_linked and not self.missing & {name, socket.name}:
                self.linked[name] = socket
        names = set(materials.list_emission(self._shader))
        sent = [socket for socket in self._shader.inputs if socket.name in names and socket.is_linked]
        if (sent or materials.EMISSION in self.computed) and not self.missing & names:
            self.linked[materials.EMISSION] = sent
        self._emission: Any = None

    def show(self, name: str) -> None:
        """Has the surface glow as what arrives at an input."""
        links = self._shader.id_data.links
        if self._emission is None:
            self._emission = self._shader.id_data.nodes.new("ShaderNodeEmission")
        links.new(self.linked[name].links[0].from_socket, self._emission.inputs["Color"])
        output = self._emission.outputs[0]
        for group in reversed(self._groups):
            inside = group.node_tree
            end = next(node for node in inside.nodes if node.type == "GROUP_OUTPUT" and node.is_active_output)
            number = next(k for k, socket in enumerate(end.inputs) if socket.type == "SHADER")
            inside.links.new(output, end.inputs[number])
            output = group.outputs[number]
        tree = self.material.node_tree
        tree.links.new(output, (tree.get_output_node("CYCLES") or tree.get_output_node("ALL")).inputs["Surface"])


def _receive(tree: Any, image: Any) -> None:
    """Has a material's faces baked into an image."""
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    for each in tree.nodes:
        each.select = each == node
    tree.nodes.active = node


def _take(image: Any) -> np.ndarray:
    """The pixels of an image, which is no longer needed then."""
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return np.nan_to_num(pixels.reshape(height, width, -1)[::-1, :, :3])


def _encode(pixels: np.ndarray, name: str) -> np.ndarray:
    """What was baked of an input as a material's maps have it."""
    if name == materials.EMISSION:
        return colorspace.to_rec709(pixels)
    if name == COLOR:
        pixels = images.srgb_encode(colorspace.to_rec709(pixels).clip(0, 1))
    return materials.to_bytes(pixels[..., 0] if name in NUMBERS else pixels)
