"""What a worker may be asked, as one file each: what it keeps, the request, and the arrays of both; and ways to damage
that which leave it a message."""

from __future__ import annotations

import io
import json
import math
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from near_core import asset
from near_core.asset import Skin, SkinMaterial
from near_core.asset.deformation import Deformation
from near_core.create.hints import Hints
from near_core.create.shot import Shot
from near_core.create.stance import Stance
from near_core.errors import Cancelled, NearError
from near_core.mesh import Material, Mesh
from near_core.scene import AssetLook, Lamp, Lens, Occluders, Probe, Settings, Shutter, camera
from near_core.scene.settings import GROUP, SPLIT_LIGHT
from near_core.worker import operations, protocol
from tests.attacks.mutations import change_tree
from tests.create.pictures import disc, mask_of
from tests.random_assets import some_asset

PHOTO = Path(__file__).parents[2] / "near_blender" / "assets" / "coffee.jpg"
NUMBERS = (0, -1, 1, 7, 255, 2**31 - 1, -2**31, 2**40, 1e-300, 1e6, 1e30, 1e308, -1e308, math.nan, math.inf, -math.inf)
TYPES = ("<f8", "<f4", "<f2", "<i8", "<i4", "<u2", "|u1", "|b1", ">f4", "<c8", "|S4", "<M8[s]")
TREES = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)  # of another form
Sender = tuple[dict[str, Any], ...]  # what is kept, and the request in the end


def pack(messages: Sender) -> bytes:
    """A file of messages, sealed: where only values are changed, it must be drawn or refused in words; of another form
    it may fail as a bug of ours would, which a worker tells."""
    with tempfile.TemporaryDirectory() as folder:
        pipe = io.BytesIO()
        channel = protocol.Channel(io.BytesIO(), pipe, Path(folder) / "in", Path(folder) / "out")
        for message in messages:
            channel.send(message)
        channel.close()
        return _join(True, pipe.getvalue(), (Path(folder) / "out").read_bytes().rstrip(b"\0"))


def _join(sealed: bool, frames: bytes, arrays: bytes) -> bytes:
    content = struct.pack("<I", len(frames)) + frames + arrays
    return struct.pack("<I", zlib.crc32(content) if sealed else 0) + content


def split(data: bytes) -> tuple[bool, bytes, bytes]:
    """Whether the seal of a file holds, as it does not once bytes were changed blindly; the frames of the pipe and the
    arrays."""
    seal, length = struct.unpack_from("<II", data.ljust(8, b"\0"))
    return seal == zlib.crc32(data[4:]), data[8:8 + length], data[8 + length:]


def answer(path: Path, kept: operations.Operations) -> None:
    """Has operations answer a file. Raises what they raise, but where the form of the messages is another only what a
    worker does not tell as a bug."""
    strict, frames, arrays = split(path.read_bytes())
    incoming = path.with_name("arrays")
    incoming.write_bytes(arrays + bytes(1 << 16))
    channel = protocol.Channel(io.BytesIO(frames), io.BytesIO(), incoming, path.with_name("outgoing"))
    try:
        while (message := _receive(channel)) is not None:
            if message["op"] in ("put", "choose"):
                kept.keep(message)
                continue
            if is_long(message):
                continue
            found = kept.answer(operations.Request(message, lambda event: None))
            channel.send({"event": "done", **found})
            for name, values in found.get("passes", {}).items():
                assert not strict or np.isfinite(values).all(), f"{name} has a pixel that is no number"
    except (Cancelled, MemoryError):  # a worker says so
        pass
    except NearError as error:
        if "memory" not in str(error):
            raise
    except TREES as error:
        if strict:
            raise
        raise NearError("It is no request.", "Send another.") from error
    finally:
        channel.close()


def _receive(channel: protocol.Channel) -> dict[str, Any] | None:
    try:
        return channel.receive()
    except ValueError as error:
        raise NearError("It is no message.", "Send another.") from error


def is_long(message: dict[str, Any]) -> bool:
    """Whether a picture or a map was asked for that may well be made, but takes minutes."""
    view = message.get("camera")
    sides = [message["side"]] * 2 if "side" in message else [view.width, view.height] if view is not None else [0]
    return all(isinstance(side, int) for side in sides) and 2**16 < math.prod(sides) < 2**34


def change_values(data: bytes, rng: np.random.Generator) -> bytes:
    """A session in which numbers, or parts of an array, are others of their kind."""
    sealed, frames, arrays = split(data)
    messages, blob = list(_read(frames)), bytearray(arrays + bytes(-len(arrays) % 64 + 64))
    for _ in range(int(rng.integers(1, 4))):
        frame = messages[rng.integers(len(messages))]
        places = list(_find(frame["message"]))
        listed = [node["$array"] for node, key in places if key == "$array"]
        numbers = [(node, key) for node, key in places if key != "$array"]
        if listed and rng.integers(2):
            number = int(rng.integers(len(listed)))
            _fill(blob, frame["offsets"][number], *listed[number], rng)
        elif numbers:
            node, key = numbers[rng.integers(len(numbers))]
            sealed = sealed and key not in ("width", "height")  # of which cameras of one shutter have the same
            value = NUMBERS[rng.integers(len(NUMBERS))]
            whole = isinstance(node[key], int) and math.isfinite(value)
            node[key] = int(value) if whole and abs(value) < 2**60 else value if not whole else 2**40
    return _join(sealed, b"".join(map(_frame, messages)), bytes(blob))


def change_form(data: bytes, rng: np.random.Generator) -> bytes:
    """A session with arrays of another type or shape, or a tree of another form."""
    _, frames, arrays = split(data)
    messages = list(_read(frames))
    frame = messages[rng.integers(len(messages))]
    listed = [node["$array"] for node, key in _find(frame["message"]) if key == "$array"]
    if not listed or rng.integers(2):
        number = next(n for n, each in enumerate(messages) if each is frame)
        text = change_tree(frame, rng).encode(errors="replace")
        made = [_frame(each) for each in messages]
        made[number] = struct.pack("<I", len(text)) + text
        return _join(False, b"".join(made), arrays)
    each = listed[rng.integers(len(listed))]
    shape = each[1]
    if rng.integers(2):
        each[0] = TYPES[rng.integers(len(TYPES))]
    else:
        each[1] = (shape[::-1], shape[:-1], [*shape, 1], [0, *shape[1:]], [1, *shape[1:]], [math.prod(shape)],
                   [*shape[:-1], shape[-1] - 1] if shape else [1])[rng.integers(7)]
    return _join(False, b"".join(map(_frame, messages)), arrays)


def _read(frames: bytes) -> Iterator[dict]:
    at = 0
    while at + 4 <= len(frames):
        (length,) = struct.unpack_from("<I", frames, at)
        yield json.loads(frames[at + 4:at + 4 + length])
        at += 4 + length


def _frame(frame: dict) -> bytes:
    text = json.dumps(frame).encode()
    return struct.pack("<I", len(text)) + text


def _find(node: Any) -> Iterator[tuple[Any, Any]]:
    """Where a tree holds numbers and, by the key $array, arrays; these in the order of their offsets."""
    for key in (node if isinstance(node, dict) else range(len(node))):
        value = node[key]
        if key == "$array":
            yield node, key
        elif isinstance(value, dict | list):
            yield from _find(value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and key != "id":
            yield node, key


def _fill(blob: bytearray, offset: int, kind: str, shape: list[int], rng: np.random.Generator) -> None:
    """Puts hostile values into an array, or into a piece of it."""
    dtype, count = np.dtype(kind), math.prod(shape)
    if not count or offset + count * dtype.itemsize > len(blob):
        return
    values = np.frombuffer(blob, dtype, count, offset)
    low, high = np.sort(rng.integers(0, count + 1, 2)) if rng.integers(2) else (0, count)
    with np.errstate(all="ignore"):
        value = np.float64(NUMBERS[rng.integers(len(NUMBERS))])
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            value = (limits.min, limits.max, 0, 1)[rng.integers(4)]
        values[low:high] = np.asarray(value).astype(dtype)


def _skin() -> Skin:
    corner, face = np.float32([[0, 0, 0], [.3, 0, 0], [0, .3, 0], [0, 0, .3]]), np.int32([[0, 1, 2], [0, 3, 1]])
    return Skin(corner, None, corner[:, :2], None, face, np.zeros(2, np.int32),
                (SkinMaterial((1, 1, 1, 1), .5, 0, 1, ("repeat", "mirror"), (-1,) * 4, (9, 4, 0)),), ())


def _painted() -> Skin:
    """One as photos paint: colours at its corners, and where these are on ramps."""
    picture, plain = io.BytesIO(), _skin()
    Image.fromarray(np.repeat(np.arange(0, 256, 64, dtype=np.uint8)[None, :, None], 3, 2)).save(picture, "WEBP")
    colors = np.random.default_rng(0).random((len(plain.vertices), 4), np.float32)
    return replace(plain, color=colors, pictures=(picture.getvalue(),), materials=(
        SkinMaterial((1, 1, 1, 1), 1, 1, 1, ("clamp", "clamp"), (-1, 0, 0, -1)),))


def list_things() -> tuple[Sender, dict[str, Any]]:
    """What a picture needs, as it is kept, and the fields of a request that names all of it."""
    rng = np.random.default_rng(0)
    view = camera.orbit(30, 20, 2, 40, 24, 16)
    corners = rng.uniform(-.5, .5, (12, 3)).astype(np.float32)
    floor = Occluders(np.float32([[-2, -2, -.6], [2, -2, -.6], [0, 3, -.6], [0, 0, 2]]),
                      np.int32([[0, 1, 2], [0, 1, 3]]), ("floor", "wall"), np.int32([0, 1]), np.bool_([False, True]))
    probe = Probe(rng.random((8, 16, 4), np.float32), rng.uniform(1, 9, (8, 16)).astype(np.float32), np.zeros(3),
                  rng.random((8, 16), np.float32), rng.random((8, 16, 3), np.float32), ("key", "sky"),
                  rng.random((2, 8, 16, 3), np.float32) / 2)
    plain = some_asset()
    glowing = replace(plain, skin=_painted(), camera=camera.to_json(view), surfels=replace(
        plain.surfels, emission=plain.surfels.base_color * np.float32([9, 0, 1])))
    kept = ({"kind": "asset", "hash": "a", "data": np.frombuffer(asset.to_bytes(some_asset()), np.uint8), "name": "A"},
            {"kind": "asset", "hash": "s", "name": "S",
             "data": np.frombuffer(asset.to_bytes(some_asset(skin=_skin())), np.uint8)},
            {"kind": "map", "hash": "m", "data": rng.random((8, 16, 3), np.float32), "name": "M"},
            {"kind": "probe", "hash": "p", "data": probe, "name": "P"},
            {"kind": "occluders", "hash": "o", "data": floor, "name": "O"},
            {"kind": "deformation", "hash": "d", "data": Deformation(corners, 1.1 * corners), "name": "D"},
            {"kind": "asset", "hash": "g", "name": "G", "data": np.frombuffer(asset.to_bytes(glowing), np.uint8)})
    far = np.eye(4)
    far[:3, 3] = .4, .3, .1
    watts = np.full(3, 20.0)
    beam = rng.random((8, 16, 3), np.float32)
    lamps = [Lamp("point", np.eye(4) + 2 * np.eye(4, k=3), watts, radius=.1, unblocked_by=("floor",), pattern=beam,
                  group="key"),
             Lamp("spot", np.eye(4), watts, radius=.1, pattern=beam[:, :8], falloff=1.0, smooth=.5),
             Lamp("sun", np.eye(4), watts / 20, angle=.1, through_glass=True),
             Lamp("area", far, watts, size=(.5, .2), shape="ELLIPSE", hull=.1, spread=2.0),
             Lamp("area", far, -watts, size=(.5, .2), pattern=beam[:, :8] - .2)]
    light = {"map": "m", "world_to_map": np.eye(3), "strength": 1.0, "diffuse": True, "glossy": True}
    standing = [np.eye(4), far, far @ far]
    shutter = Shutter([view, camera.orbit(31, 20, 2, 40, 24, 16)], np.stack([standing] * 2), (1.0, .5))
    return tuple({"op": "put", **each} for each in kept), {
        "id": 1, "channel": None, "camera": view, "environment": light, "backdrop": light, "lamps": lamps,
        "occluders": "o", "shutter": shutter, "lens": Lens(.02, 2.0, 5, .3, 1.5),
        "settings": Settings(background=True, passes=(*Settings().passes, *SPLIT_LIGHT, "Instances", f"{GROUP}key",
                                                      f"{GROUP}sky"), threads=2, group="sky"), "instances": [
            {"asset": "a", "matrix": np.eye(4), "probe": "p", "deformation": "d", "unlit_by": (1,), "shadow": True,
             "look": AssetLook((.9, .5, .5), .1, .8, .2, -.2, .5, .7), "name": "A"},
            {"asset": "s", "matrix": far, "probe": None, "shadow": False, "name": "S"},
            {"asset": "g", "matrix": far @ far, "probe": "p", "look": AssetLook((1, .2, 1)), "name": "G",
             "group": "key"}]}


def make_pictures() -> list[bytes]:
    """Pictures, blurred, sharp and drafts."""
    kept, fields = list_things()
    plain = {**fields, "op": "render", "shutter": None, "lens": None, "backdrop": None}
    draft = {**plain, "settings": Settings("draft", "transport", True, ("Combined", "Depth"), 1, 2.0)}
    flat = replace(camera.orbit(30, 20, 2, 40, 24, 16), orthographic=True)
    return [pack((*kept, each)) for each in (
        {**fields, "op": "render"}, plain, draft, {**plain, "op": "prepare"},
        {**plain, "camera": flat, "environment": {**fields["environment"], "glossy": False}})]


def make_bakes() -> list[bytes]:
    """Assets as meshes, as splats and as they are."""
    kept, fields = list_things()
    one = {name: fields[name] for name in ("id", "environment", "backdrop", "lamps", "occluders")} | {
        "op": "bake", "side": 16, "extent": 1.0, "instances": fields["instances"][:1]}
    painted = {**one, "instances": fields["instances"][2:]}
    return [pack((*kept, {**each, "kind": kind})) for each, kind in (
        (one, "mesh"), (one, "splats"), (one, "asset"), (painted, "mesh"))]


def make_meshes() -> list[bytes]:
    """Assets of a mesh with everything that one may have."""
    rng = np.random.default_rng(0)
    corner = np.float32([[0, 0, 0], [.4, 0, 0], [0, .4, 0], [0, 0, .4]])
    face = np.int32([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    picture = rng.integers(0, 255, (4, 4, 4)).astype(np.uint8)
    full = Mesh(corner, face, rng.random((4, 3, 2), np.float32), np.tile(np.float32([0, 0, 1]), (4, 3, 1)),
                np.ones((4, 3, 4), np.float32), np.int32([0, 0, 1, 1]),
                (Material(base_color_map=picture, roughness_map=picture[..., 0], metallic_map=picture[..., 1],
                          normal_map=picture[..., :3], emission=(9, 4, 0), emission_map=picture), Material()))
    thin = Mesh(corner * np.float32([1, .1, .1]), face)  # what fills its cube takes ten times as long
    return [pack(({"op": "create_mesh", "id": 1, "mesh": each, "options": {"name": "Box", "normalize": each is thin}},))
            for each in (replace(full, vertices=corner / 2), thin)]


def make_photos() -> list[bytes]:
    """What is asked of photos: mattes, poses and assets."""
    kept, fields = list_things()
    dabs = np.float32([[.5, .5, .1], [.4, .6, .05]])
    hints = Hints((.2, .1, .8, .9), dabs, dabs[:1] / 4, 1)
    shot = Shot(str(PHOTO), None, camera.orbit(0, 15, 2, 40, 64, 48), hints=replace(hints, number=0))
    made = {"name": "Cup", "seed": 0, "thickness": "auto", "symmetry": "auto", "refine": False}
    return [pack(({"op": "find_matte", "id": 1, "path": str(PHOTO), "hints": hints, "matting": "near"},)),
            pack(({"op": "find_matte", "id": 1, "path": str(PHOTO), "hints": Hints(), "matting": "near"},)),
            pack((kept[4], {"op": "find_pose", "id": 1, "shot": replace(shot, camera=None, azimuth=10.0, fov=40.0),
                            "shape": "o", "matting": "near", "stance": Stance(20.0, 10.0), "fits": False})),
            *(pack(({"op": "create_image", "id": 1, "photos": [shot], "options": options},))
              for options in (made, made | {"mesh": _box(), "normalize": True}))]


def _box() -> Mesh:
    return Mesh(np.float32([[0, 0, 0], [.4, 0, 0], [0, .4, 0], [0, 0, .4]]),
                np.int32([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))


def make_several() -> list[bytes]:
    """Assets of several photos: one with a camera, one whose side is told, one of which nothing is; and of the first
    two and a shape, which take an eighth of the time."""
    shown, around = mask_of(64, 64, 20, (32, 32)), camera.orbit(0, 15, 2.6, 40, 64, 64)
    cut = np.dstack([disc(64, 64, 20, (32, 32)), shown])
    shots = [Shot(cut, camera=around), Shot(cut[:, ::-1, :3], shown / np.float32(255), azimuth=90.0, elevation=10.0,
                                            fov=40.0), Shot(np.roll(cut, 3, 1))]
    made = {"name": "Cup", "seed": 0, "thickness": "auto", "symmetry": "auto", "refine": False}
    return [pack(({"op": "create_image", "id": 1, "photos": photos, "options": options},)) for photos, options in (
        (shots, made), (shots[:2], made | {"mesh": _box(), "normalize": True}))]


# by target; how many damaged ones a run has, and seconds of the processor for each
MAKERS: dict[str, tuple[Callable[[], list[bytes]], int, float]] = {
    "picture": (make_pictures, 1000, 5.0), "bake": (make_bakes, 60, 60.0), "mesh": (make_meshes, 500, 10.0),
    "photo": (make_photos, 60, 90.0), "photos": (make_several, 40, 120.0)}
