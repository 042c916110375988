"""The ordinary mesh that stands for an asset in the viewport, in other engines and under the artist's hands."""

from __future__ import annotations

import itertools
from typing import Any

import bmesh
import bpy
import numpy as np
from mathutils import Matrix

from .. import colorspace
from .._core import asset as assets
from .._core import proxy_mesh, thumbnail
from . import payload

REST = "near_rest"  # POINT vectors: where each vertex lies in the asset's frame
MARK = "near_mark"  # POINT integers: of the asset that each vertex belongs to, 0 for none
ANY = -1  # mark of the only asset that a mesh knows
COLOR, EMISSION = "near_base_color", "near_emission"
PARTS = "near_parts"  # of the mesh: how many parts of the asset's cube it had when it was made, as count_parts
_SPREAD = 16  # between marks: modifiers mix them as floats
_ALONG = 8  # parts along an edge of the asset's cube
TOLERANCE = 0.5 / assets.RESOLUTION  # asset units: half a voxel
MATERIAL_VALUES = {"near_roughness": "Roughness", "near_metallic": "Metallic"}


def build(asset: assets.NeuralAsset, name: str, surface: proxy_mesh.ProxyMesh | None = None) -> bpy.types.Object:
    """An object in no collection yet: a smooth mesh of the asset's size with its material; its origin is the middle of
    the asset's cube. surface: where it was worked out before."""
    surface = surface or proxy_mesh.build(asset)
    colors = colorspace.from_rec709(surface.base_color)
    mesh = bpy.data.meshes.new(name)
    set_geometry(mesh, surface.vertices * np.float32(asset.extent), surface.faces)
    _add_attribute(mesh, REST, "FLOAT_VECTOR", "vector", surface.vertices)
    marks = np.full(len(surface.vertices), _SPREAD * mark(asset.hash) + _SPREAD // 2)
    _add_attribute(mesh, MARK, "INT", "value", marks, np.int32)
    _add_attribute(mesh, COLOR, "FLOAT_COLOR", "color", np.pad(colors, ((0, 0), (0, 1)), constant_values=1))
    for attribute, values in zip(MATERIAL_VALUES, (surface.roughness, surface.metallic)):
        _add_attribute(mesh, attribute, "FLOAT", "value", values)
    mesh[PARTS] = count_parts(surface.vertices)
    mesh.attributes.active_color_name = mesh.attributes.default_color_name = COLOR
    if surface.emission is not None:
        _add_attribute(mesh, EMISSION, "FLOAT_COLOR", "color", np.pad(
            colorspace.from_rec709(surface.emission), ((0, 0), (0, 1)), constant_values=1))
    mesh.materials.append(_material(surface, colors, name))
    mesh.update()
    ob = bpy.data.objects.new(name, mesh)
    set_preview(ob, thumbnail.draw(asset) if asset.thumbnail is None else asset.thumbnail)
    return ob


def set_geometry(mesh: bpy.types.Mesh, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Gives an empty mesh vertices (V, 3) and smooth faces (F, 3 or 4)."""
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(faces, np.int32).ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, faces.shape[1], dtype=np.int32))
    mesh.update(calc_edges=True)
    mesh.shade_smooth()


def _add_attribute(mesh: bpy.types.Mesh, name: str, kind: Any, field: str, values: np.ndarray,
                   dtype: Any = np.float32) -> None:
    attribute: Any = mesh.attributes.new(name, kind, "POINT")
    attribute.data.foreach_set(field, np.ascontiguousarray(values, dtype).ravel())


def mark(asset_hash: str) -> int:
    """The number by which vertices name the asset with this hash, 1 to 2^20 - 1."""
    return max(int(asset_hash[:5] or "0", 16), 1)


def count_parts(rest: np.ndarray) -> int:
    """Over how many parts of the asset's cube points (V, 3) of its frame are spread."""
    return len(np.unique(((rest + 0.5) * _ALONG).astype(int) @ (_ALONG ** 2, _ALONG, 1)))


def _material(surface: proxy_mesh.ProxyMesh, colors: np.ndarray, name: str) -> bpy.types.Material:
    """A Principled material that reads the proxy's attributes; the viewport's Solid mode gets the means."""
    material = bpy.data.materials.new(name)
    material.diffuse_color = (*colors.mean(0).tolist(), 1)
    material.roughness, material.metallic = float(surface.roughness.mean()), float(surface.metallic.mean())
    if material.node_tree is None:
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    principled = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    read = {COLOR: "Base Color", **MATERIAL_VALUES}
    if surface.emission is not None:
        read[EMISSION] = "Emission Color"
        strength: Any = principled.inputs["Emission Strength"]
        strength.default_value = 1
    for row, (attribute, socket) in enumerate(read.items()):
        node: Any = nodes.new("ShaderNodeAttribute")
        node.attribute_name, node.location = attribute, (-300, 300 - 200 * row)
        links.new(node.outputs["Fac" if attribute in MATERIAL_VALUES else "Color"], principled.inputs[socket])
    return material


def set_preview(ob: bpy.types.Object, picture: np.ndarray) -> None:
    """Shows a picture (h, w, 4) uint8 sRGB, row 0 on top, wherever Blender shows ob's icon."""
    preview: Any = ob.preview_ensure()
    preview.image_size = picture.shape[1::-1]
    preview.image_pixels_float.foreach_set((picture[::-1].astype(np.float32) / 255).ravel())


def compute_asset_matrix(ob: bpy.types.Object, matrix_world: np.ndarray) -> np.ndarray:
    """Asset frame -> world (4, 4) float64 of the proxy ob, original or evaluated, drawn with matrix_world (4, 4).

    Where the base mesh was moved, scaled or turned (Apply Transform, Set Origin, edit mode), that is part of it.
    """
    return np.asarray(matrix_world, np.float64) @ _fit(ob)


def take_shear(matrix: Matrix) -> tuple[Matrix, np.ndarray]:
    """Of an object -> world matrix (4, 4) what an object without parent can have, and what is to be done before it,
    (4, 4) float64, the unit matrix where parents do not shear."""
    straight = Matrix.LocRotScale(*matrix.decompose())
    return straight, np.array(straight.inverted_safe() @ matrix)


def _fit(ob: bpy.types.Object) -> np.ndarray:
    """The affine map of ob's base mesh; of the asset's extent alone where that has no rest positions."""
    ob = ob.original
    rest, now = _positions(ob.data)
    finite = np.isfinite(now).all(1)
    if finite.sum() < 4:
        asset = payload.decode_asset(ob)
        extent = asset.extent if asset is not None else 1.0
        return np.diag([extent, extent, extent, 1.0])
    return fit(rest[finite], now[finite])[0]


def fit(rest: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, float]:
    """The affine map (4, 4) float64 that comes nearest to taking the points rest to now, (V, 3) each, and how far it is
    off at the worst one, in units of rest."""
    x = np.concatenate([rest, np.ones((len(rest), 1))], 1)
    solution = np.linalg.lstsq(x.T @ x, x.T @ now, rcond=1e-9)[0]  # (4, 3)
    off = np.linalg.norm(x @ solution - now, axis=1).max()
    matrix = np.eye(4)
    matrix[:3] = solution.T
    return matrix, float(off / max(np.linalg.norm(matrix[:3, :3], 2), 1e-9))


def read_vertices(mesh: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every vertex of a mesh where it rests (V, 3) and is (V, 3), float64, and the mark of its asset (V,); without
    marks, as before there were any, that of whatever asset rests somewhere. All empty without rest positions."""
    rest, now = _positions(mesh)
    attribute = mesh.attributes.get(MARK)
    marks = np.empty(len(rest), np.int32)
    if attribute is None or (attribute.domain, attribute.data_type) != ("POINT", "INT"):
        marks[:] = np.where(rest.any(1), ANY, 0)
    elif len(rest):
        attribute.data.foreach_get("value", marks)
        marks //= _SPREAD
    return rest, now, marks


def _positions(mesh: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rest positions and vertices of a mesh, (V, 3) float64 each; in edit mode of some of the vertices; empty without
    rest positions."""
    if mesh.is_editmode:
        vertices = bmesh.from_edit_mesh(mesh).verts
        layer = vertices.layers.float_vector.get(REST)
        some = list(itertools.islice(vertices, 0, None, max(1, len(vertices) // 2000))) if layer else []
        return (np.array([v[layer] for v in some], np.float64).reshape(-1, 3),
                np.array([v.co for v in some], np.float64).reshape(-1, 3))
    attribute = mesh.attributes.get(REST)
    if attribute is None or (attribute.domain, attribute.data_type) != ("POINT", "FLOAT_VECTOR"):
        return np.empty((0, 3)), np.empty((0, 3))
    rest, now = np.empty((2, len(mesh.vertices) * 3), np.float32)
    attribute.data.foreach_get("vector", rest)
    mesh.vertices.foreach_get("co", now)
    return rest.reshape(-1, 3).astype(np.float64), now.reshape(-1, 3).astype(np.float64)
