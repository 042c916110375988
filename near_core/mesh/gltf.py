"""glTF 2.0 files as meshes, by the specification: its defaults, transforms, samplers and packed maps."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from .. import files
from ..directions import unit
from ..errors import NearError
from . import texture
from .beside import read_beside
from .mesh import BRIGHTEST, COATED, MAX_TRIANGLES, Material, Mesh, merge, too_many, turn_upright

_COMPONENT = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_WRAP = {10497: "repeat", 33648: "mirror", 33071: "clamp"}
_UNREAD = {"KHR_draco_mesh_compression": "Draco compression", "EXT_meshopt_compression": "meshopt compression",
           "KHR_texture_basisu": "KTX2 textures", "EXT_mesh_gpu_instancing": "GPU instances"}
_TRIANGLES, _STRIP, _FAN = 4, 5, 6
MAX_PARTS = 50_000  # nodes, materials, and primitives placed by nodes, which may be as many as both multiplied


def read(path: Path) -> Mesh:
    """Every triangle of the file's scene, turned to Z-up.

    Skins are read in their rest pose, morph targets at zero. A material's maps share one set of UVs: that of its base
    colour, or of its first map. Raises NearError for damaged files and for those that need an extension of _UNREAD.
    """
    try:
        header, binary = _split(path)
        for extension, words in _UNREAD.items():
            if extension in header.get("extensionsRequired", ()) or _has_nothing_but(extension, header):
                raise NearError("{file} uses {words}, which NeAR can't read.",
                                "Export it without compression and instances.", file=path.name, words=words)
        return _File(path, header, binary).mesh()
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError, RecursionError,
            struct.error, binascii.Error) as error:
        raise NearError("{file} is damaged or not complete.", "Export the mesh again.", file=path.name) from error


def _has_nothing_but(extension: str, header: dict) -> bool:
    """Whether an extension holds a primitive's vertices and no accessor does, or a texture's picture, or says where
    nodes are, without being required."""
    return any("bufferView" not in header["accessors"][primitive["attributes"]["POSITION"]]
               for mesh in header.get("meshes", ()) for primitive in mesh["primitives"]
               if extension in primitive.get("extensions", ())) or any(
        extension in each.get("extensions", ()) for each in header.get("nodes", ())) or any(
        extension in each.get("extensions", ()) and "source" not in each for each in header.get("textures", ()))


def _split(path: Path) -> tuple[dict, bytes | None]:
    """The file's JSON and, in a .glb, its binary chunk."""
    data = files.read(path)
    if data[:4] != b"glTF":
        return json.loads(data), None
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2 or length > len(data):
        raise ValueError("length")
    chunks, at = {}, 12
    while at + 8 <= length:
        size, kind = struct.unpack_from("<I4s", data, at)
        if at + 8 + size > length:
            raise ValueError("chunk")
        chunks.setdefault(kind, data[at + 8:at + 8 + size])
        at += 8 + size
    return json.loads(chunks[b"JSON"]), chunks.get(b"BIN\0")


class _File:
    """One open file: what has been read of it is kept, so that shared buffers and images are read once."""

    def __init__(self, path: Path, header: dict, binary: bytes | None):
        self.path, self.header, self.binary = path, header, binary
        self.buffers: dict[int, bytes] = {}
        self.images: dict[int, np.ndarray] = {}
        self.maps_made: dict[tuple, np.ndarray] = {}
        self.joints: dict[int, np.ndarray] = {}
        self.beside: dict[str, bytes] = {}

    def mesh(self) -> Mesh:
        """All triangles of the file's scene as one mesh."""
        placed = self.placed()
        count = sum(len(self.header["meshes"][self.header["nodes"][i]["mesh"]]["primitives"])
                    for i in placed if "mesh" in self.header["nodes"][i])
        if max(count, len(self.header.get("materials", ()))) > MAX_PARTS:
            raise self.too_many_parts()
        found = [(node, primitive, matrix) for node, matrix in ((self.header["nodes"][i], m) for i, m in placed.items())
                 if "mesh" in node for primitive in self.header["meshes"][node["mesh"]]["primitives"]
                 if primitive.get("mode", _TRIANGLES) in (_TRIANGLES, _STRIP, _FAN)]
        triangles = sum(self.triangle_count(primitive) for _, primitive, _ in found)
        corners = sum(self.corner_count(primitive) for _, primitive, _ in found)
        if max(triangles, corners / 3) > MAX_TRIANGLES:
            raise too_many(self.path.name, max(triangles, corners / 3))
        if not triangles:
            raise NearError("{file} has no faces.", "Choose a mesh with a surface.", file=self.path.name)
        parts = []
        for node, primitive, matrix in found:
            if "skin" in node:  # joints place a skinned mesh, wherever its node is
                bones = self.bones(node["skin"], primitive["attributes"], placed)
            parts.append(self.primitive(primitive, bones if "skin" in node else matrix[None]))
        listed = [self.material(m) for m in self.header.get("materials", ())]
        return merge(parts, (*listed, Material()))  # the last is for primitives that name none

    def placed(self) -> dict[int, np.ndarray]:
        """The scene's nodes, each with its (4, 4) matrix to the scene."""
        nodes = self.header["nodes"]
        if len(nodes) > MAX_PARTS:
            raise self.too_many_parts()
        scenes = self.header.get("scenes")
        if scenes:
            roots = scenes[self.header.get("scene", 0)].get("nodes", [])
        else:
            roots = sorted(set(range(len(nodes))) - {c for n in nodes for c in n.get("children", ())})
        waiting, found = [(root, np.eye(4)) for root in reversed(roots)], {}
        while waiting:
            index, above = waiting.pop()
            if index in found or index < 0:
                raise ValueError("the nodes are not a tree")
            found[index] = above @ _matrix(nodes[index])
            waiting += [(child, found[index]) for child in reversed(nodes[index].get("children", ()))]
        return found

    def too_many_parts(self) -> NearError:
        """The error of a file with more parts than are read."""
        return NearError("{file} has more than {count:,} parts.", "Join its objects and export it again.",
                         file=self.path.name, count=MAX_PARTS)

    def bones(self, index: int, attributes: dict, placed: dict[int, np.ndarray]) -> np.ndarray:
        """(V, 4, 4) matrices to the scene of a skinned primitive's vertices, with the joints where their nodes are."""
        if index not in self.joints:
            skin = self.header["skins"][index]
            joints = np.stack([placed.get(j, np.eye(4)) for j in skin["joints"]])
            if "inverseBindMatrices" in skin:
                inverse = self.accessor(skin["inverseBindMatrices"])[:len(joints)]
                joints = joints @ inverse.reshape(-1, 4, 4).swapaxes(1, 2)
            self.joints[index] = joints
        joints = self.joints[index]
        joint, weight = self.attribute(attributes, "JOINTS_0"), self.attribute(attributes, "WEIGHTS_0")
        weight = weight / np.maximum(weight.sum(1, keepdims=True), 1e-9)
        return sum(joints[joint[:, i]] * weight[:, i, None, None] for i in range(4))

    def triangle_count(self, primitive: dict) -> int:
        """How many triangles a primitive says it has; nothing of it is read."""
        corners = self.header["accessors"][primitive.get("indices", primitive["attributes"]["POSITION"])]["count"]
        return corners // 3 if primitive.get("mode", _TRIANGLES) == _TRIANGLES else max(corners - 2, 0)

    def corner_count(self, primitive: dict) -> int:
        """How many vertices a primitive says it has, whether or not triangles use them; nothing of it is read."""
        return self.header["accessors"][primitive["attributes"]["POSITION"]]["count"]

    def primitive(self, primitive: dict, matrix: np.ndarray) -> Mesh:
        """matrix: (1 or V, 4, 4), of all vertices or of each, to the scene."""
        attributes = primitive["attributes"]
        position = self.accessor(attributes["POSITION"])
        index = self.accessor(primitive["indices"])[:, 0] if "indices" in primitive else np.arange(len(position))
        faces = _faces(index.astype(np.int64), primitive.get("mode", _TRIANGLES))
        if len(faces) and faces.max() >= len(position):
            raise ValueError("index")
        if np.linalg.det(matrix[0, :3, :3]) < 0:  # a mirror turns the winding over
            faces = faces[:, ::-1]
        material = primitive.get("material", len(self.header.get("materials", ())))
        uv_set, transform = self.uv_source(primitive.get("material"))
        normal, uv, color = None, None, None
        if "NORMAL" in attributes:
            normal = np.einsum("vi,vij->vj", self.attribute(attributes, "NORMAL"), _inverses(matrix[:, :3, :3]))
            normal = turn_upright(unit(normal))[faces]
        if f"TEXCOORD_{uv_set}" in attributes:
            uv = self.attribute(attributes, f"TEXCOORD_{uv_set}")[:, :2] @ transform[:, :2].T + transform[:, 2]
            uv = np.stack([uv[:, 0], 1 - uv[:, 1]], 1).astype(np.float32)[faces]
        if "COLOR_0" in attributes:
            color = self.attribute(attributes, "COLOR_0")
            color = np.concatenate([color, np.ones((len(color), 4 - color.shape[1]), np.float32)], 1)
            color = self.cut_color(color, primitive.get("material"))[faces]
        vertices = turn_upright(np.einsum("vij,vj->vi", matrix[:, :3, :3], position) + matrix[:, :3, 3])
        return Mesh(vertices, faces, uv, normal, color, np.full(len(faces), material, np.int32))

    def cut_color(self, color: np.ndarray, material: int | None) -> np.ndarray:
        """Vertex colours (V, 4) with the alpha that a material's mode makes of theirs."""
        entry = self.header["materials"][material] if material is not None else {}
        mode, alpha = entry.get("alphaMode", "OPAQUE"), color[:, 3:]
        if mode == "OPAQUE":
            alpha = np.ones_like(alpha)
        elif mode == "MASK":
            alpha = (alpha >= entry.get("alphaCutoff", 0.5)).astype(np.float32)
        return np.concatenate([color[:, :3], alpha], 1)

    def uv_source(self, material: int | None) -> tuple[int, np.ndarray]:
        """Which TEXCOORD the material's maps use, and the (2, 3) transform (KHR_texture_transform) laid over it."""
        for info in self.maps(self.header["materials"][material] if material is not None else {}):
            extra = info.get("extensions", {}).get("KHR_texture_transform", {})
            angle, (x, y), scale = extra.get("rotation", 0.0), extra.get("offset", (0, 0)), extra.get("scale", (1, 1))
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            return int(extra.get("texCoord", info.get("texCoord", 0))), np.c_[turn * np.asarray(scale), (x, y)]
        return 0, np.eye(2, 3)

    def maps(self, material: dict) -> list[dict]:
        """The texture infos that a material has of base colour, packed roughness and metallic, normals and emission."""
        pbr = material.get("pbrMetallicRoughness", {})
        found = (pbr.get("baseColorTexture"), pbr.get("metallicRoughnessTexture"), material.get("normalTexture"),
                 material.get("emissiveTexture"))
        return [info for info in found if info is not None]

    def material(self, material: dict) -> Material:
        """Factors that are not written are 1 by the specification, also the metallic one."""
        pbr = material.get("pbrMetallicRoughness", {})
        if len(factor := tuple(float(x) for x in pbr.get("baseColorFactor", (1, 1, 1, 1)))) != 4:
            raise ValueError("baseColorFactor")
        base = self.image(pbr.get("baseColorTexture"))
        packed, normal = self.image(pbr.get("metallicRoughnessTexture")), self.image(material.get("normalTexture"))
        mode = material.get("alphaMode", "OPAQUE")
        if mode == "OPAQUE":
            factor = (*factor[:3], 1.0)
            base = self.derive(base, "opaque", texture.drop_alpha)
        elif mode == "MASK" and base is not None:
            cutoff = material.get("alphaCutoff", 0.5) / max(factor[3], 1e-6)
            base = self.derive(base, cutoff, lambda picture: texture.cut_alpha(picture, cutoff))
            factor = (*factor[:3], 1.0)
        return Material(
            name=str(material.get("name", "")), base_color=factor, base_color_map=base,
            roughness=self.gloss(material), metallic=float(pbr.get("metallicFactor", 1)),
            roughness_map=self.derive(packed, "roughness", lambda picture: np.ascontiguousarray(picture[..., 1])),
            metallic_map=self.derive(packed, "metallic", lambda picture: np.ascontiguousarray(picture[..., 2])),
            normal_map=self.derive(normal, "normal", lambda picture: np.ascontiguousarray(picture[..., :3])),
            normal_scale=float(material.get("normalTexture", {}).get("scale", 1)), wrap=self.wrap(material),
            **self.emission(material))

    def gloss(self, material: dict) -> float:
        """The roughness of what a surface mirrors: of its clear coat where that is most of it, and not by maps."""
        coat = material.get("extensions", {}).get("KHR_materials_clearcoat", {})
        own = float((pbr := material.get("pbrMetallicRoughness", {})).get("roughnessFactor", 1))
        plain = "metallicRoughnessTexture" not in pbr and float(pbr.get("metallicFactor", 1)) < COATED
        coated = plain and float(coat.get("clearcoatFactor", 0)) > COATED
        return min(own, float(coat.get("clearcoatRoughnessFactor", 0))) if coated else own

    def emission(self, material: dict) -> dict[str, Any]:
        """The fields of Material that say what a material emits."""
        strength = material.get("extensions", {}).get("KHR_materials_emissive_strength", {}).get("emissiveStrength", 1)
        sent = np.nan_to_num(np.array(material.get("emissiveFactor", (0, 0, 0)), np.float64) * float(strength))
        red, green, blue = (float(each) for each in np.clip(sent, 0, BRIGHTEST))
        if not max(red, green, blue):
            return {}
        return {"emission": (red, green, blue),
                "emission_map": self.derive(self.image(material.get("emissiveTexture")), "opaque", texture.drop_alpha)}

    def derive(self, picture: np.ndarray | None, kind: str | float, make: Callable[[np.ndarray], np.ndarray]
               ) -> np.ndarray | None:
        """A map made of one of the file's pictures, once for all materials: a thousand of them may name the same."""
        if picture is None:
            return None
        key = id(picture), kind
        if key not in self.maps_made:
            self.maps_made[key] = make(picture)
            texture.require_room(self.maps_made.values(), self.path.name)
        return self.maps_made[key]

    def wrap(self, material: dict) -> tuple[str, str]:
        """How a material's first map goes on outside of itself, along U and V, as Material.wrap."""
        for info in self.maps(material):
            entry = self.header["textures"][info["index"]]
            sampler = self.header["samplers"][entry["sampler"]] if "sampler" in entry else {}
            return _WRAP[sampler.get("wrapS", 10497)], _WRAP[sampler.get("wrapT", 10497)]
        return "repeat", "repeat"

    def image(self, info: dict | None) -> np.ndarray | None:
        """A texture's picture, (h, w, 4) uint8."""
        if info is None:
            return None
        entry = self.header["textures"][info["index"]]
        webp = entry.get("extensions", {}).get("EXT_texture_webp", {})
        index = webp.get("source", entry.get("source"))
        if index is None:
            return None
        if index not in self.images:
            picture = self.header["images"][index]
            data = self.view(picture["bufferView"]) if "bufferView" in picture else self.resource(picture["uri"])
            self.images[index] = texture.decode(data, f"A texture of {self.path.name}")
            texture.require_room(self.images.values(), self.path.name)
        return self.images[index]

    def attribute(self, attributes: dict, name: str) -> np.ndarray:
        """An attribute of a primitive's vertices, of which there are as many as positions: one without a buffer view
        takes no room in the file, whatever its count says. As accessor."""
        listed = self.header["accessors"]
        if listed[attributes[name]]["count"] != listed[attributes["POSITION"]]["count"]:
            raise ValueError(name)
        return self.accessor(attributes[name])

    def accessor(self, index: int) -> np.ndarray:
        """(count, columns) float32 where it is floating or normalized, else integers."""
        entry = self.header["accessors"][index]
        dtype, columns = np.dtype(_COMPONENT[entry["componentType"]]), _COLUMNS[entry["type"]]
        count = int(entry["count"])
        if not 0 <= count * columns <= 12 * MAX_TRIANGLES:  # numbers for three vertices of four each
            raise ValueError("count")
        if "bufferView" in entry:
            view = self.header["bufferViews"][entry["bufferView"]]
            values = _rows(self.view(entry["bufferView"]), entry.get("byteOffset", 0), view.get("byteStride"), dtype,
                           count, columns)
        else:
            values = np.zeros((count, columns), dtype)
        if "sparse" in entry:
            values = self.sparse(values.copy(), entry["sparse"])
        if entry.get("normalized"):
            return np.maximum(values.astype(np.float32) / np.iinfo(dtype).max, -1)
        return values

    def sparse(self, values: np.ndarray, entry: dict) -> np.ndarray:
        """values (count, columns) with the rows that a sparse accessor changes put in, in place."""
        where, what, count = entry["indices"], entry["values"], int(entry["count"])
        if count > len(values):
            raise ValueError("sparse")
        index = _rows(self.view(where["bufferView"]), where.get("byteOffset", 0), None,
                      np.dtype(_COMPONENT[where["componentType"]]), count, 1)
        values[index[:, 0]] = _rows(self.view(what["bufferView"]), what.get("byteOffset", 0), None, values.dtype, count,
                                    values.shape[1])
        return values

    def view(self, index: int) -> memoryview:
        """The bytes of a buffer view."""
        entry = self.header["bufferViews"][index]
        data = memoryview(self.buffer(entry["buffer"]))
        start, size = entry.get("byteOffset", 0), entry["byteLength"]
        if start < 0 or size < 0 or start + size > len(data):
            raise ValueError("buffer view")
        return data[start:start + size]

    def buffer(self, index: int) -> bytes:
        """A buffer's content: the .glb's own chunk, or what its URI names."""
        if index not in self.buffers:
            entry = self.header["buffers"][index]
            data = self.resource(entry["uri"]) if "uri" in entry else self.binary
            if data is None or len(data) < entry["byteLength"]:
                raise ValueError("buffer")
            self.buffers[index] = data
        return self.buffers[index]

    def resource(self, uri: str) -> bytes:
        """A data URI's content, or a file beside this one."""
        if uri.startswith("data:"):
            return base64.b64decode(uri[uri.index(",") + 1:])
        if uri not in self.beside:  # thousands of buffers may name it
            self.beside[uri] = read_beside(self.path, unquote(uri))
        return self.beside[uri]


def _rows(data: memoryview, offset: int, stride: int | None, dtype: np.dtype, count: int, columns: int) -> np.ndarray:
    """(count, columns) values that lie `stride` bytes apart (None: closely)."""
    row = dtype.itemsize * columns
    stride = stride or row
    if offset < 0 or stride < row or (count and offset + (count - 1) * stride + row > len(data)):
        raise ValueError("accessor")
    if count == 0:
        return np.zeros((0, columns), dtype)
    if stride == row:
        return np.frombuffer(data, dtype, count * columns, offset).reshape(count, columns)
    raw = np.frombuffer(data, np.uint8)[offset:]
    rows = np.lib.stride_tricks.as_strided(raw, (count, row), (stride, 1), writeable=False)
    return np.ascontiguousarray(rows).view(dtype)


def _matrix(node: dict) -> np.ndarray:
    """(4, 4) float64, node to parent."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64)
    matrix[:3, :3] = [[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                      [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                      [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]]
    matrix[:3, :3] *= np.array(node.get("scale", (1, 1, 1)), np.float64)
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _inverses(matrices: np.ndarray) -> np.ndarray:
    """(K, 3, 3) inverses times the size of the determinants, which flat matrices have too; normals are scaled later."""
    a, b, c = np.moveaxis(matrices, 1, 0)
    adjugates = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], 2)
    return adjugates * np.where(np.linalg.det(matrices) < 0, -1, 1)[:, None, None]


def _faces(index: np.ndarray, mode: int) -> np.ndarray:
    """(F, 3) corners of triangles, of a strip or of a fan."""
    if mode == _TRIANGLES:
        return index[:len(index) // 3 * 3].reshape(-1, 3)
    if mode == _FAN:
        return np.stack([np.repeat(index[:1], max(len(index) - 2, 0)), index[1:-1], index[2:]], 1)
    strip = np.stack([index[:-2], index[1:-1], index[2:]], 1)
    strip[1::2] = strip[1::2, ::-1]
    return strip
