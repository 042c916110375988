"""Out of the neural world again: an asset's surface as a mesh with a metallic-roughness material and maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..directions import unit
from ..image import srgb_encode
from ..mesh import Material, Mesh, encode_light
from ..mesh.surface_nets import compute_vertex_normals
from . import proxy_mesh
from .blending import SurfelBlend, blend_corners
from .neural_asset import NeuralAsset
from .skin import Skin, SkinMaterial, decode_pictures
from .surfels import Surfels

LEAST_CELL = 4  # texels along a quad's edge on its map


def make_mesh(asset: NeuralAsset, surfels: Surfels, side: int = 2048) -> Mesh:
    """A mesh in the asset's frame: the skin of an asset from a mesh, with its own maps; else the proxy's quads, each
    with a place of its own on maps of side x side texels, where what surfels and texels or the skin's corners say is
    blended. surfels: the asset's."""
    if asset.skin is not None and (asset.camera is None or asset.skin.color is None):
        return convert_skin(asset.skin)
    return _unwrap(asset, surfels, side)  # the skin that photos were painted onto has no maps


def convert_skin(skin: Skin) -> Mesh:
    """A skin as a mesh with materials, in the asset's frame. Raises NearError for maps that are damaged."""

    def gather(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[skin.faces]

    maps = decode_pictures(skin.pictures)
    return Mesh(skin.vertices, skin.faces, gather(skin.uv), gather(skin.normal), gather(skin.color), skin.material,
                tuple(_convert_material(material, maps) for material in skin.materials))


def _convert_material(material: SkinMaterial, maps: list[np.ndarray]) -> Material:
    color, rough, metal, bent = (maps[row] if row >= 0 else None for row in material.maps)
    return Material("", material.base_color, material.roughness, material.metallic, color,
                    None if rough is None else rough[..., 0], None if metal is None else metal[..., 0],
                    None if bent is None else bent[..., :3], material.normal_scale, material.wrap, material.emission,
                    maps[material.emission_map] if material.emission_map >= 0 else None)


def _unwrap(asset: NeuralAsset, surfels: Surfels, side: int) -> Mesh:
    made = proxy_mesh.build(asset)
    made = replace(made, faces=made.faces[_order(made.vertices[made.faces])])
    columns = int(np.ceil(np.sqrt(len(made.faces))))
    cell = max(side // columns, LEAST_CELL)
    size = cell * columns
    # quads that lie beside each other on the surface do so on the maps: smaller versions of these mix neighbours
    row, column = np.divmod(np.arange(columns * columns), columns)
    place = np.stack([column, row], 1)[np.argsort(_interleave(np.stack([column, row], 1)), kind="stable")]
    place = place[:len(made.faces)]
    # a quad's corners lie on the middles of the outermost texels of its place: what is looked up never leaves it
    corners = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]])
    uv = (cell * place[:, None] + 0.5 + corners * (cell - 1)) / size  # V from the top
    normal = compute_vertex_normals(made.vertices, made.faces)
    points, facing = _spread(made.vertices[made.faces], cell), unit(_spread(normal[made.faces], cell))
    values = SurfelBlend(surfels, asset.texels).blend_materials(points, facing)
    if asset.skin is not None:
        colors = blend_corners(asset.skin, points, facing)
        found = colors.any(1)
        values[found, :3] = colors[found]
    image = np.zeros((columns, columns, cell, cell, values.shape[1]), np.float32)
    image[place[:, 1], place[:, 0]] = values.reshape(-1, cell, cell, values.shape[1])
    image = image.swapaxes(1, 2).reshape(size, size, -1)
    color = np.concatenate([srgb_encode(image[..., :3]), np.ones((size, size, 1), np.float32)], 2)
    code = lambda picture: np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    uv[..., 1] = 1 - uv[..., 1]
    most, glow = encode_light(image[..., 5:]) if image.shape[2] > 5 else (0.0, None)
    return Mesh(made.vertices, np.ascontiguousarray(made.faces[:, triangles].reshape(-1, 3)),
                uv[:, triangles].reshape(-1, 3, 2).astype(np.float32),
                normal[made.faces][:, triangles].reshape(-1, 3, 3).astype(np.float32), materials=(Material(
                    "", (1, 1, 1, 1), 1.0, 1.0, code(color), code(image[..., 3]), code(image[..., 4]),
                    wrap=("clamp", "clamp"), emission=(most, most, most), emission_map=glow),))


def _order(quads: np.ndarray) -> np.ndarray:
    """An order of quads (F, 4, 3) in which neighbours follow each other: by the side of a cube that they face, then
    along a Morton curve."""
    normal = np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])
    axis = np.abs(normal).argmax(1)
    side = 2 * axis + (normal[np.arange(len(axis)), axis] < 0)
    return np.lexsort((_interleave(np.clip((quads.mean(1) + 0.5) * 256, 0, 255).astype(np.int64)), side))


def _interleave(values: np.ndarray) -> np.ndarray:
    """(N,) int64: the bits of whole numbers (N, D) in turn, a place on a Morton curve."""
    axes = values.shape[1]
    return np.sum([(values[:, axis] >> bit & 1) << (bit * axes + axis) for bit in range(12) for axis in range(axes)], 0)


def _spread(quads: np.ndarray, cell: int) -> np.ndarray:
    """What quads (F, 4, 3) have at their corners, between them, (F cell cell, 3) float32, row by row."""
    share = np.linspace(0, 1, cell, dtype=np.float32)
    u, v = share[None, :, None, None], share[:, None, None, None]
    a, b, c, d = (quads[:, k] for k in range(4))
    between = ((1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * c)).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(between.reshape(-1, 3), np.float32)
