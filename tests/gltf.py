"""glTF files written by hand, which tests share."""

import base64
import io
import json

import numpy as np
from PIL import Image

TRIANGLE = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
WHITE = {"baseColorFactor": [1, 1, 1, 1]}


def png(pixels) -> bytes:
    """The bytes of a .png of pixels (h, w, C) 0..255."""
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(out, "PNG")
    return out.getvalue()


def gltf(path, attributes: dict, *, indices=None, header: dict | None = None, material: dict | None = None,
         images: tuple = (), nodes: list | None = None, mode: int | None = None):
    """Writes a .gltf of one primitive by hand, independent of any library. attributes: name -> float32 array."""
    blob, views, accessors = b"", [], []

    def add(data: bytes) -> int:
        nonlocal blob
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": len(data)})
        blob += data + b"\0" * (-len(data) % 4)
        return len(views) - 1

    primitive = {"attributes": {}}
    for name, values in attributes.items():
        kind = {np.dtype("f4"): 5126, np.dtype("u2"): 5123, np.dtype("u1"): 5121}[values.dtype]
        accessors.append({"bufferView": add(values.tobytes()), "componentType": kind, "count": len(values),
                          "type": f"VEC{values.shape[1]}", "normalized": kind != 5126})
        primitive["attributes"][name] = len(accessors) - 1
    if indices is not None:
        accessors.append({"bufferView": add(np.asarray(indices, np.uint16).tobytes()), "componentType": 5123,
                          "count": np.size(indices), "type": "SCALAR"})
        primitive["indices"] = len(accessors) - 1
    if material is not None:
        primitive["material"] = 0
    if mode is not None:
        primitive["mode"] = mode
    content = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": nodes or [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}], "accessors": accessors,
        "images": [{"bufferView": add(data)} for data in images],
        "textures": [{"source": i} for i in range(len(images))],
        "bufferViews": views, **({"materials": [material]} if material is not None else {}),
        "buffers": [{"byteLength": len(blob), "uri": "data:application/octet-stream;base64,"
                     + base64.b64encode(blob).decode()}], **(header or {})}
    path.write_text(json.dumps(content))
    return path
