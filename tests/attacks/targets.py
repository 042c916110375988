"""What reads files and messages from outside, each with intact examples to damage."""

from __future__ import annotations

import io
import json
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from near_core import asset, image, mesh
from near_core.asset.skin import Skin, SkinMaterial
from near_core.commands import terminal
from near_core.errors import Message, NearError
from near_core.lab.datasets.dataset import Dataset
from near_core.mesh import obj_ply
from near_core.render.renderer import Renderer
from near_core.scene import Instance, camera, environment
from near_core.worker import operations, protocol
from tests.attacks import answers, mutations, networks, photos, pictures, requests, tables
from tests.attacks.mutations import BLIND, Way
from tests.gltf import gltf, png
from tests.pictures import radiance, write_hdr
from tests.random_assets import some_asset

MEGABYTE = 2**20


@dataclass(frozen=True)
class Target:
    """A reader. suffix: of the files that it takes. examples: makes intact ones. read: takes a path; raises `refusal`,
    and nothing else, where the file is none. ways: to damage one, beside the blind ones. memory: MB that it may take
    beyond what the process has, under the limits that `lower_limits` sets. count: of damaged inputs in a run. seconds:
    of the processor for each."""

    suffix: str
    examples: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    ways: tuple[Way, ...] = ()
    memory: int = 256
    refusal: type[Exception] = NearError
    count: int = 500
    seconds: float = 5.0

    def damage(self, number: int, seed: int) -> bytes:
        """Input `number` of a run."""
        rng = np.random.default_rng([seed, number])
        found = self.intact()
        data = found[rng.integers(len(found))]
        if self.ways and rng.integers(3):
            return self.ways[rng.integers(len(self.ways))](data, rng)
        for _ in range(int(rng.choice([1, 1, 3]))):
            data = BLIND[rng.integers(len(BLIND))](data, rng) or b"\0"
        return data

    def intact(self) -> list[bytes]:
        """The examples, made once."""
        if self not in _made:
            _made[self] = self.examples()
        return _made[self]


_made: dict[Target, list[bytes]] = {}


def lower_limits() -> None:
    """Sets the readers' own limits so low that input which reaches them is small, and input which passes them shows."""
    from near_core.image import guard
    from near_core.mesh import gltf, obj_ply, texture
    from near_core.mesh import mesh as meshes
    guard.MAX_PIXELS = texture.MAX_PIXELS = 2**20
    meshes.MAX_TRIANGLES = gltf.MAX_TRIANGLES = obj_ply.MAX_TRIANGLES = 50_000


def _write(write: Callable[[Path], object], suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"example{suffix}"
        write(path)
        return path.read_bytes()


def _assets() -> list[bytes]:
    corner, face = np.float32([[0, 0, 0], [.3, 0, 0], [0, .3, 0]]), np.int32([[0, 1, 2]])
    picture = np.frombuffer(png(np.full((8, 8, 4), 200)), np.uint8).tobytes()
    skin = Skin(corner, corner * 0 + [0, 0, 1], corner[:, :2] / .3, np.ones((3, 4), np.float32), face, np.int32([0]),
                (SkinMaterial((1, 1, 1, 1), .5, 0, 1, ("repeat", "mirror"), (0, -1, -1, -1), (9, 4, 0), 0),),
                (picture,))
    surfels = some_asset().surfels
    glowing = replace(surfels, emission=surfels.base_color * (surfels.position[:, :1] > 0))
    texels = asset.Texels(np.arange(len(surfels), dtype=np.int32), surfels.position, surfels.position, surfels.area)
    view = camera.to_json(camera.orbit(30, 20, 2, 40, 64, 48))
    return [asset.to_bytes(some_asset()),
            asset.to_bytes(replace(some_asset(skin=skin, texels=texels, camera=view,
                                              thumbnail=np.zeros((8, 8, 4), np.uint8)), surfels=glowing))]


def _latents() -> list[bytes]:
    rng, out = np.random.default_rng(0), io.BytesIO()
    np.savez(out, coords=rng.integers(0, 64, (40, 3)).astype("<i4"), feats=rng.random((40, 8), np.float32))
    return [out.getvalue()]


def _binary(text: str) -> bytes:
    """A .glb of a .gltf whose one buffer is a data URI."""
    import base64
    tree = json.loads(text)
    blob = base64.b64decode(tree["buffers"][0].pop("uri").partition(",")[2])
    head = json.dumps(tree).encode()
    head += b" " * (-len(head) % 4)
    body = struct.pack("<I4s", len(head), b"JSON") + head + struct.pack("<I4s", len(blob), b"BIN\0") + blob
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def _gltfs() -> list[bytes]:
    rng = np.random.default_rng(0)
    points = rng.random((6, 3)).astype(np.float32)
    plain = _write(lambda path: gltf(path, {"POSITION": points}, indices=[0, 1, 2, 3, 4, 5]), ".gltf")
    rich = {"POSITION": points, "NORMAL": points, "TEXCOORD_0": points[:, :2], "COLOR_0": np.ones((6, 4), np.float32),
            "JOINTS_0": np.zeros((6, 4), np.uint16), "WEIGHTS_0": np.ones((6, 4), np.float32)}
    info = {"index": 0, "extensions": {"KHR_texture_transform": {"scale": [2, 2], "rotation": 1}}}
    material = {"alphaMode": "MASK", "pbrMetallicRoughness": {
        "baseColorTexture": info, "metallicRoughnessTexture": {"index": 0}}, "normalTexture": {"index": 0},
        "emissiveFactor": [1, 0.5, 0], "emissiveTexture": {"index": 0},
        "extensions": {"KHR_materials_emissive_strength": {"emissiveStrength": 5}}}
    dressed = _write(lambda path: gltf(
        path, rich, indices=[0, 1, 2, 3, 4, 5], images=(png(rng.integers(0, 255, (4, 4, 4))),), material=material,
        nodes=[{"mesh": 0, "skin": 0, "children": [1]}, {"rotation": [0, 0, 0, 1], "scale": [1, 2, 3]}],
        header={"skins": [{"joints": [1]}]}, mode=5), ".gltf")
    dressed = dressed.replace(b'"normalized": true', b'"normalized": false')
    sparse = json.loads(plain)
    sparse["accessors"][0]["sparse"] = {"count": 2, "indices": {"bufferView": 1, "componentType": 5123},
                                        "values": {"bufferView": 0}}
    return [_binary(text) for text in (plain, dressed, json.dumps(sparse))]


def _objs() -> list[bytes]:
    return [b"mtllib box.mtl\no a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nvt 0 0\nvt 1 0\nvt 0 1\nvn 0 0 1\n"
            b"usemtl one\nf 1/1/1 2/2/1 3/3/1\nf 1//1 2//1 4//1\ng b\nf 1 2 3 4\nf -1 -2 -3\n"]


def _mtls() -> list[bytes]:
    return [b"# made by hand\nnewmtl one\nKd 0.5 0.25 1\nKs 0 0 0\nNs 250\nd 0.5\nPr 0.5\nPm 1.0\nillum 2\n"
            b"map_Kd -s 2 2 1 -o 0.5 0 0 -clamp on a.png\nmap_d a.png\nmap_Bump -bm 0.5 a.png\n\nnewmtl two\n"
            b"Kd 1 1 1\nmap_Kd C:\\pictures\\a.png\nTr 0.5\n"]


def _plys() -> list[bytes]:
    head = "ply\nformat {} 1.0\ncomment made by hand\nelement vertex 3\nproperty float x\nproperty float y\n" \
           "property float z\nproperty uchar red\nproperty uchar green\nproperty uchar blue\nelement face 1\n" \
           "property list uchar int vertex_indices\nend_header\n"
    rows = b"".join(struct.pack("<fff3B", *np.eye(3)[i], 9, 9, 9) for i in range(3))
    return [head.format("ascii").encode() + b"0 0 0 1 2 3\n1 0 0 1 2 3\n0 1 0 1 2 3\n3 0 1 2\n",
            head.format("binary_little_endian").encode() + rows + struct.pack("<Biii", 3, 0, 1, 2)]


def _jpegs() -> list[bytes]:
    from PIL import Image, ImageCms
    exif = Image.Exif()
    exif[0x0112], exif[0x8769] = 6, {41989: 35, 37386: 5.0, 41486: 100.0, 41488: 2}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return [pictures.encode("JPEG"), pictures.encode("JPEG", exif=exif, icc_profile=profile, progressive=True)]


def _hdrs() -> list[bytes]:
    return [_write(lambda path: write_hdr(path, radiance(6, 12, 3), False), ".hdr"),
            _write(lambda path: write_hdr(path, radiance(6, 12, 3), True), ".hdr")]


def _cameras() -> list[bytes]:
    view = camera.to_json(camera.orbit(30, 20, 2, 40, 64, 48))
    flat = {**view, "type": "ORTHO", "ortho_scale": 2, "clip": [0.1, 9]}
    return [json.dumps(each).encode() for each in (view, {"camera": flat}, {"frames": [view, {"camera": flat}]})]


def _views() -> list[bytes]:
    view = camera.to_json(camera.orbit(30, 20, 2, 40, 64, 48))
    return [json.dumps({"camera": view, "hdri": name, "uniform": 1.0, "role": "input", "image": "0.exr",
                        "hdri_rotation_deg": 20, "world_strength": 2}).encode() for name in (None, "sky.exr")]


def _metas() -> list[bytes]:
    return [json.dumps({"assets": ["a", "b"], "models": "models", "hdris": "maps", "exclude_groups": ["x"],
                        "exclude_hdris": ["y.exr"], "categories": {"a": "cup"}, "files": {"a": "a.glb"},
                        "unfinished": ["b"]}).encode()]


def _messages() -> list[bytes]:
    found = []
    for message in ({"op": "render", "id": 1, "camera": camera.orbit(1, 2, 3, 40, 8, 8), "pair": (1, "two")},
                    {"event": "done", "id": 1, "passes": {"Combined": np.ones((4, 4, 4), np.float32)}},
                    {"event": "error", "what": Message("{file} has {count:,} faces.", file=Message("A {0}"), count=9)}):
        with tempfile.TemporaryDirectory() as folder:
            pipe = io.BytesIO()
            (Path(folder) / "deep").mkdir()
            channel = protocol.Channel(io.BytesIO(), pipe, Path(folder) / "in", Path(folder) / "deep" / "out")
            channel.send(message)
            channel.close()
            found.append(pipe.getvalue())
    return found


def _read_mtl(path: Path) -> None:
    shape = path.with_name("shape.obj")
    shape.write_bytes(b"mtllib %b\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl one\nf 1/1 2/2 3/3\n"
                      b"usemtl two\nf 3/3 2/2 1/1\n" % path.name.encode())
    path.with_name("a.png").write_bytes(png(np.full((8, 8, 4), 200)))
    mesh.load(shape)
    obj_ply.read_flags(shape)


def _read_camera(path: Path) -> None:
    listed = b"frames" in path.read_bytes()
    terminal.read_cameras(None if listed else path, path if listed else None, None)


def _read_view(path: Path) -> None:
    folder = path.parent / "set"
    (folder / "views" / "a").mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_text('{"assets": ["a"]}')
    (folder / "views" / "a" / "0.json").write_bytes(path.read_bytes())
    view = Dataset(folder).view("a", 0)
    if isinstance(view.camera.width, int) and view.hdri is None:
        view.environment()


def _read_meta(path: Path) -> None:
    folder = path.parent / "set"
    folder.mkdir(exist_ok=True)
    (folder / "meta.json").write_bytes(path.read_bytes())
    found = Dataset(folder)
    for name in found.assets:
        found.model(name)
    assert found.categories is not None and found.excluded_groups | found.excluded_hdris | found.unfinished is not None


def _read_messages(path: Path) -> None:
    array = path.with_name("arrays")
    array.write_bytes(bytes(4096))
    channel = protocol.Channel(io.BytesIO(path.read_bytes()), io.BytesIO(), array, path.with_name("outgoing"))
    try:
        while (message := channel.receive()) is not None:
            assert isinstance(message, dict)
    finally:
        channel.close()


def _draw(path: Path) -> None:
    read = asset.from_bytes(path.read_bytes())
    if "drawing" not in _kept:
        _kept["drawing"] = Renderer()
    picture = _kept["drawing"].render([Instance(read, np.eye(4))], camera.orbit(30, 20, 1, 40, 16, 12),
                                      environment.uniform((1, 1, 1)))
    _kept["drawing"].forget(read.hash)
    assert all(np.isfinite(values).all() for values in picture.values()), "a pixel that is no number"


def _answer(path: Path) -> None:
    if "operations" not in _kept:
        _kept["operations"] = operations.Operations()
    requests.answer(path, _kept["operations"])


_kept: dict = {}

TARGETS = {
    "near": Target(".near", _assets, asset.load, (mutations.change_near, mutations.change_tensors), count=1000),
    "drawn": Target(".near", _assets, _draw, (mutations.change_near, mutations.change_tensors), 1024),
    "npz": Target(".npz", _latents, asset.load, (mutations.change_npz,)),
    "glb": Target(".glb", _gltfs, mesh.load, (mutations.change_glb,)),
    "obj": Target(".obj", _objs, mesh.load, (mutations.change_words,)),
    "mtl": Target(".mtl", _mtls, _read_mtl, (mutations.change_words,)),
    "ply": Target(".ply", _plys, mesh.load, (mutations.change_words,)),
    "png": Target(".png", lambda: [pictures.encode("PNG"), png(np.zeros((5, 4, 4)))], image.read_photo,
                  (mutations.change_png,)),
    "jpeg": Target(".jpg", _jpegs, lambda path: (image.read_photo(path), image.read_field_of_view(path))),
    "webp": Target(".webp", lambda: [pictures.encode("WEBP")], image.read),
    "texture": Target(".png", pictures.make_textures, pictures.read_texture),
    "exr": Target(".exr", pictures.make_exrs, lambda path: (image.read(path), image.read_layers(path)),
                  (mutations.change_exr,), count=1000),
    "hdr": Target(".hdr", _hdrs, image.read, (mutations.change_words, mutations.change_hdr)),
    "camera": Target(".json", _cameras, _read_camera, (mutations.change_json,)),
    "view": Target(".json", _views, _read_view, (mutations.change_json,)),
    "meta": Target(".json", _metas, _read_meta, (mutations.change_json,)),
    "messages": Target(".frames", _messages, _read_messages, (mutations.change_frame,), refusal=ValueError),
    "languages": Target(".tsv", tables.make_languages, tables.read_languages, (mutations.change_table,), count=300),
    "bench": Target(".json", tables.make_benches, tables.read_bench, (mutations.change_json,)),
    "ceiling": Target(".json", tables.make_ceilings, tables.read_ceiling, (mutations.change_json,), count=300),
    "evaluation": Target(".json", tables.make_evaluations, tables.read_evaluation, (mutations.change_json,), count=300),
    "listing": Target(".json", tables.make_listings, tables.read_listing, (mutations.change_json,), count=200),
    "matrix": Target(".json", tables.make_matrices, tables.read_matrix, (mutations.change_json,), count=200),
    "download": Target(".json", tables.make_downloads, tables.read_download, (mutations.change_json,), count=300),
    "plan": Target(".json", tables.make_plans, tables.read_plan, (mutations.change_json,), count=200),
    "hub": Target(".json", networks.make_hubs, networks.read_hub, (mutations.change_json,), count=300),
    **({"checkpoint": Target(".json", networks.make_checkpoints, networks.read_checkpoint, (mutations.change_json,),
                             count=300)} if find_spec("torch") else {}),
    "hints": Target(".json", photos.make_hints, photos.read_hints, (mutations.change_json,)),
    **({"matte": Target(".json", photos.make_descriptions, photos.read_extension, (mutations.change_json,), 1024,
                        count=200),
        "isnet": Target(".onnx", photos.make_networks, photos.read_extension, (), 1024, count=300)}
       if find_spec("onnx") else {}),
    "answers": Target(".answers", answers.make, answers.read, (requests.change_values, requests.change_form),
                      count=1000),
    **{name: Target(".requests", make, _answer, (requests.change_values, requests.change_form), 2048, count=count,
                    seconds=seconds) for name, (make, count, seconds) in requests.MAKERS.items()},
}
