"""What a worker and the second Blender may answer, as one file each, and what Blender makes of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from near_core import asset, mesh
from near_core.create.stance import Stance
from near_core.errors import Message, NearError
from near_core.mesh import Material, Mesh
from near_core.render import composite
from near_core.scene import Occluders, Probe, Settings, camera
from near_core.worker import answers, protocol
from tests.attacks import requests
from tests.random_assets import some_asset

Pair = tuple[dict[str, Any], dict[str, Any]]


def list_pairs() -> list[Pair]:
    """A request of every operation with an event that answers it, and the other events."""
    rng = np.random.default_rng(0)
    random = lambda *shape: rng.random(shape, np.float32)
    some_bytes, view = lambda *shape: rng.integers(0, 255, shape).astype(np.uint8), camera.orbit(30, 20, 2, 40, 12, 8)
    passes = {"Combined": random(8, 12, 4), "Depth": random(8, 12, 1), "Normal": random(8, 12, 3)}
    around = Probe(random(4, 8, 4), random(4, 8), np.zeros(3), random(4, 8), random(4, 8, 3))
    grouped = replace(around, groups=("key",), sent=random(1, 4, 8, 3))
    floor = Occluders(np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.int32([[0, 1, 2]]), ("floor",), np.int32([0]),
                      np.bool_([True]))
    made = Mesh(floor.vertices, floor.faces, random(1, 3, 2), random(1, 3, 3), None, None,
                (Material(base_color_map=some_bytes(4, 4, 4), roughness_map=some_bytes(4, 4), emission=(9, 4, 0),
                          emission_map=some_bytes(4, 4, 4)),))
    data, file = np.frombuffer(asset.to_bytes(some_asset()), np.uint8), camera.to_json(view)
    settings = Settings(passes=tuple(passes))
    photo = {"op": "create_image", "photos": ["a", "b"]}
    done: list[Pair] = [
        ({"op": "render", "camera": view, "settings": settings}, {"passes": passes, "seconds": 1.0, "model": "x",
                                                                  "blurred": False}),
        ({"op": "bake", "kind": "mesh"}, {"mesh": made, "psnr": 30.0}),
        ({"op": "bake", "kind": "splats"}, {"ply": some_bytes(9), "psnr": 30.0}),
        ({"op": "create_mesh"}, {"asset": data}), (photo, {"asset": data, "views": [(10.0, 20.0), None],
                                                              "frame": [0.0, 1.0, 2.0, 0.5]}),
        ({"op": "find_matte"}, {"picture": some_bytes(4, 5, 3), "matte": some_bytes(4, 5), "objects": 1}),
        ({"op": "find_pose"}, {"stance": Stance(), "camera": file, "picture": some_bytes(4, 4, 3), "overlap": .5,
                               "span": 1.0}),
        ({"op": "draw", "size": (12, 8), "border": None, "passes": list(passes)}, {"passes": passes, "stale": False}),
        ({"op": "draw", "size": (99, 99), "border": (1, 2, 13, 10), "passes": ["Combined", "Cryptomatte Object"]},
         {"passes": {"Combined": passes["Combined"], "CryptoObject00": random(8, 12, 4)}, "stale": True}),
        ({"op": "probe", "size": (8, 4), "probes": [{}]}, {"probes": [around], "stale": False}),
        ({"op": "probe", "size": (8, 4), "probes": [{}], "groups": ["key"]}, {"probes": [grouped], "stale": False}),
        ({"op": "occluders"}, {"occluders": floor, "stale": False, "warning": Message("{count} left.", count=3)}),
        ({"op": "world", "lighting": True}, {"maps": {"seen": random(4, 8, 3), "lighting": random(2, 4, 3)}}),
        ({"op": "lamp"}, {"pattern": random(4, 8, 3)}), ({"op": "pixels"}, {"pixels": random(4, 8, 4)}),
        ({"op": "textures"}, {"mesh": made, "notes": ["A node."], "matrix": np.eye(4)}),
        ({"op": "gather"}, {"wrote": True}),
        ({"op": "open"}, {}), ({"op": "prepare"}, {})]
    others = [{"event": "progress", "phase": "Light", "fraction": .5}, {"event": "missing", "hashes": ["a"]},
              {"event": "preview", "matte": random(4, 4), "crop": random(4, 4, 3)}, {"event": "cancelled"},
              {"event": "error", "what": Message("{a} is wrong.", a="x"), "fix": "Mend it."}]
    return [*((request, {"event": "done", **answer}) for request, answer in done), *((photo, each) for each in others)]


def make() -> list[bytes]:
    """Intact answers; each names its request by its number."""
    return [requests.pack(({**answer, "id": number},)) for number, (_, answer) in enumerate(list_pairs())]


PAIRS = list_pairs()


def read(path: Path) -> None:
    """Has an answer checked, and made of it what Blender does. Raises NearError for one that is none."""
    _, frames, arrays = requests.split(path.read_bytes())
    incoming = path.with_name("arrays")
    incoming.write_bytes(arrays + bytes(1 << 16))
    channel = protocol.Channel(io.BytesIO(frames), io.BytesIO(), incoming, path.with_name("outgoing"))
    try:
        while (event := channel.receive()) is not None:
            request = PAIRS[event["id"]][0]
            answers.check(event, request)
            USED[event["event"] if event["event"] != "done" else request["op"]](event, request)
    except protocol.MALFORMED as error:
        raise NearError("It is no answer.", "Ask another.") from error
    finally:
        channel.close()


def _mark(use: Callable[[dict, dict], object]) -> Callable[[dict, dict], None]:
    """What goes wrong from here on comes of an answer that was let through."""
    def using(event: dict[str, Any], request: dict[str, Any]) -> None:
        try:
            use(event, request)
        except Exception as error:
            raise AssertionError(f"{request['op']} was let through: {error!r}") from error
    return using


def _use_passes(event: dict[str, Any], request: dict[str, Any]) -> None:
    passes = event["passes"]
    np.concatenate([passes["Combined"][..., :3], passes["Combined"][..., 3:]], -1)
    if "Depth" in passes:
        with np.errstate(all="ignore"):
            composite.compose(PAIRS[0][1]["passes"], passes, passes)


def _use_mesh(event: dict[str, Any], request: dict[str, Any]) -> None:
    if "mesh" not in event:
        return
    found = event["mesh"]
    assert found.vertices[found.faces].shape == (len(found.faces), 3, 3)
    assert all(isinstance(found.materials[number].name, str) for number in found.material_index)
    with np.errstate(all="ignore"):
        mesh.compute_bounds(found)


def _use_asset(event: dict[str, Any], request: dict[str, Any]) -> None:
    try:
        asset.from_bytes(event["asset"].tobytes())
    except NearError:
        pass  # said in words
    for angles in event.get("views", ()):
        if angles is not None:
            azimuth, elevation = angles
            np.radians([azimuth, elevation])


def _use_pose(event: dict[str, Any], request: dict[str, Any]) -> None:
    camera.from_json(event["camera"])
    event["stance"].move("azimuth", 10.0)
    np.pad(event["picture"].astype(np.float32) / 255, ((0, 0), (0, 0), (0, 1)))
    assert f"{event['overlap']:.0%}" and event["span"] * 2 >= 0


def _use_pictures(event: dict[str, Any], request: dict[str, Any]) -> None:
    np.concatenate([np.atleast_3d(event["matte"]).repeat(3, 2), event.get("crop", event.get("picture"))[:1, :1].repeat(
        event["matte"].shape[0], 0).repeat(event["matte"].shape[1], 1)], 2)


def _use_nothing(event: dict[str, Any], request: dict[str, Any]) -> None:
    """Its fields are told or looked at alone."""


USED = {name: _mark(use) for name, use in {
    "render": _use_passes, "draw": _use_passes, "bake": _use_mesh, "textures": _use_mesh, "create_mesh": _use_asset,
    "create_image": _use_asset, "find_pose": _use_pose, "find_matte": _use_pictures, "preview": _use_pictures,
    "probe": lambda event, _: [each.take_group("key").hash for each in event["probes"]],
    "occluders": lambda event, _: event["occluders"].vertices[event["occluders"].faces].sum(),
    "world": lambda event, _: [each[..., :3].max() for each in event["maps"].values()],
    "lamp": lambda event, _: event["pattern"][..., :3].mean((0, 1)),
    "pixels": lambda event, _: np.repeat(event["pixels"][::-1, :, :1], 3, 2).max(),
    "progress": lambda event, _: f"{Message(event['phase'])}, {event['fraction']:.0%}",
    "error": lambda event, _: str(NearError(event["what"], event["fix"])),
    "missing": lambda event, _: set(event["hashes"]),
    **dict.fromkeys(("open", "prepare", "gather", "cancelled"), _use_nothing)}.items()}
