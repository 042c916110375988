"""Variations: a model with its materials drawn anew, where it only comes in flat colours, or with another shape."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import replace

import numpy as np

from ...directions import unit
from ...errors import NearError
from ...mesh import Mesh, compute_face_normals, normalize
from .materials import UniformMaterial, draw_uniform

CLUSTERS = 10  # colours a palette texture is taken apart into
FLAT_SHARE = 0.8  # of neighbouring texels that are equal; a texture above it is a palette, not a photograph
_ROUGHNESS, _METALLIC = 1, 2  # channels of glTF's packed map


def read_flags(data: bytes) -> set[str]:
    """What the materials of a GLB hold: transmission, blend, alpha, emission; flat when none has material maps."""
    document, _ = _unpack(data)
    found, flat = set(), True
    for material in document.get("materials", []):
        surface = material.get("pbrMetallicRoughness", {})
        extensions = material.get("extensions", {})
        flat &= "metallicRoughnessTexture" not in surface and "normalTexture" not in material
        found |= {"blend"} if material.get("alphaMode") == "BLEND" else set()
        found |= {"alpha"} if material.get("alphaMode") == "MASK" else set()
        found |= {"transmission"} if {"KHR_materials_transmission", "KHR_materials_volume"} & set(extensions) else set()
        found |= {"emission"} if any(material.get("emissiveFactor", ())) or "emissiveTexture" in material else set()
    return found | ({"flat"} if flat else set())


def redraw(data: bytes, seed: int) -> tuple[bytes, dict]:
    """A GLB with new roughness, metallic and, mostly, colour for each of its parts.

    A part is a material; where its colours come from a palette texture, each colour of the palette. Shapes and texture
    coordinates stay. Returns the new GLB and what was drawn: material -> list of {color, roughness, metallic, kind}.
    """
    document, binary = _unpack(data)
    chance, drawn = np.random.default_rng(seed), {}
    for number, material in enumerate(document.get("materials", [])):
        surface = material.setdefault("pbrMetallicRoughness", {})
        picture = _read_texture(document, binary, surface.get("baseColorTexture"))
        if picture is not None and _is_palette(picture):
            chosen = _redraw_palette(document, binary, surface, picture, chance)
        else:
            chosen = [draw_uniform(chance)]
            surface["roughnessFactor"], surface["metallicFactor"] = chosen[0].roughness, chosen[0].metallic
            if picture is None and chance.random() < 0.75:
                alpha = surface.get("baseColorFactor", [1, 1, 1, 1])[3]
                surface["baseColorFactor"] = [*map(float, chosen[0].linear), alpha]
        drawn[material.get("name") or str(number)] = [
            {"kind": f.kind, "color": [round(float(c), 4) for c in f.color], "roughness": round(f.roughness, 4),
             "metallic": round(f.metallic, 4)} for f in chosen]
    return _pack(document, binary), drawn


def _redraw_palette(document: dict, binary: bytearray, surface: dict, picture: np.ndarray,
                    chance: np.random.Generator) -> list[UniformMaterial]:
    """Gives every cluster of a palette texture a material; colours keep the shades they have within their cluster."""
    from PIL import Image

    labels = np.asarray(Image.fromarray(picture[..., :3]).quantize(CLUSTERS, dither=Image.Dither.NONE))
    colors, packed = picture[..., :3].astype(np.float64) / 255, np.zeros((*labels.shape, 3))
    recolor, chosen = chance.random() < 0.75, []
    for label in np.unique(labels):
        new, where = draw_uniform(chance), labels == label
        chosen.append(new)
        packed[where, _ROUGHNESS], packed[where, _METALLIC] = new.roughness, new.metallic
        if recolor:
            mean = np.maximum(colors[where].mean(0), 0.02)
            shade = np.clip((colors[where] / mean).mean(-1, keepdims=True), 0.3, 1.8)
            colors[where] = np.array(new.color) * shade
    alpha = picture[..., 3:] / 255
    base = _add_texture(document, binary, np.concatenate([colors, alpha], -1), surface["baseColorTexture"])
    surface["metallicRoughnessTexture"] = _add_texture(document, binary, packed, surface["baseColorTexture"])
    surface["baseColorTexture"] = base
    surface["roughnessFactor"] = surface["metallicFactor"] = 1.0
    return chosen


def _is_palette(picture: np.ndarray) -> bool:
    """Whether most texels equal their neighbours."""
    colors = picture[..., :3].astype(int)
    equal = [np.abs(np.diff(colors, axis=axis)).max(-1) <= 2 for axis in (0, 1)]
    return min(e.mean() for e in equal if e.size) > FLAT_SHARE if min(colors.shape[:2]) > 1 else False


def reshape(mesh: Mesh, seed: int) -> Mesh:
    """A mesh stretched along its axes and perhaps tapered, bent and twisted; what is alike on its left and right
    mostly stays so. Centred, its longest side 1, with corner normals."""
    chance, whole = np.random.default_rng(seed), normalize(mesh)[0]
    stretch = np.exp(chance.normal(0, 0.3, 3))
    taper = chance.uniform(-0.6, 0.6, 2) * (chance.random(2) < 0.4)  # of width and depth, from the middle to the top
    bend, twist = (chance.uniform(-most, most) * (chance.random() < share) for most, share in ((0.9, 0.35), (0.8, 0.1)))

    def warp(points: np.ndarray) -> np.ndarray:
        x, y, z = (points * stretch).T
        height = z / stretch[2]  # -0.5..0.5
        x, y = x * (1 + taper[0] * height), y * (1 + taper[1] * height)
        y = y + bend * stretch[2] * height * height  # forwards or backwards: left and right stay alike
        c, s = np.cos(twist * height), np.sin(twist * height)
        return np.stack([c * x - s * y, s * x + c * y, z], 1)

    points = whole.vertices.astype(np.float64)
    step = 1e-4
    along = np.stack([(warp(points + step * axis) - warp(points - step * axis)) / (2 * step) for axis in np.eye(3)], 1)
    # normals go with the transposed inverse of how a point's surroundings are turned and stretched
    carried = np.linalg.inv(along)[whole.faces]  # (F, 3, 3, 3)
    normal = whole.corner_normal
    if normal is None:
        normal = compute_face_normals(whole)[0][:, None].repeat(3, 1)
    normal = np.einsum("fcij,fcj->fci", carried, normal)
    normal = unit(normal)
    made = replace(whole, vertices=warp(points).astype(np.float32), corner_normal=normal.astype(np.float32))
    return normalize(made)[0]


# --- the container (glTF 2.0, section 4.4)

def _unpack(data: bytes) -> tuple[dict, bytearray]:
    damaged = NearError("The model is not a binary glTF file.", "Export it as .glb.")
    if len(data) < 20 or data[:4] != b"glTF":
        raise damaged
    (length,) = struct.unpack_from("<I", data, 12)
    if 20 + length > len(data):
        raise damaged
    try:
        document = json.loads(data[20:20 + length])
    except ValueError as error:
        raise damaged from error
    start = 28 + length
    return document, bytearray(data[start:start + struct.unpack_from("<I", data, 20 + length)[0]]
                               if start <= len(data) else b"")


def _pack(document: dict, binary: bytearray) -> bytes:
    if document.get("buffers"):
        document["buffers"][0]["byteLength"] = len(binary)
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    body = bytes(binary) + b"\0" * (-len(binary) % 4)
    header = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(body))
    return (header + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(body), b"BIN\0") + body)


def _read_texture(document: dict, binary: bytearray, reference: dict | None) -> np.ndarray | None:
    """The picture (H, W, 4) uint8 a texture reference leads to, if it lies in the file itself."""
    from PIL import Image

    if reference is None:
        return None
    source = document["textures"][reference["index"]].get("source")
    picture = document["images"][source] if source is not None else {}
    if "bufferView" not in picture:
        return None
    view = document["bufferViews"][picture["bufferView"]]
    start = view.get("byteOffset", 0)
    with Image.open(io.BytesIO(binary[start:start + view["byteLength"]])) as file:
        return np.asarray(file.convert("RGBA"))


def _add_texture(document: dict, binary: bytearray, picture: np.ndarray, like: dict) -> dict:
    """Stores a picture (H, W, 3 or 4) 0..1 in the file. Returns a reference to it, with the sampler of `like`."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)).save(file, "PNG")
    binary += b"\0" * (-len(binary) % 4)
    document["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": file.tell()})
    binary += file.getvalue()
    document["images"].append({"bufferView": len(document["bufferViews"]) - 1, "mimeType": "image/png"})
    texture = dict(document["textures"][like["index"]], source=len(document["images"]) - 1)
    texture.pop("extensions", None)
    document["textures"].append(texture)
    return dict(like, index=len(document["textures"]) - 1)
