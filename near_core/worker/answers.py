"""What an event must look like before anything is made of it in Blender's process.

Who answers may be broken: a file that crashes Cycles may as well make it say what nobody asked for, and Blender itself
trusts the arrays that it is given. What is of another form than its request asks for counts as noise on the pipe.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..create.stance import Stance
from ..mesh import Material, Mesh
from ..render.composite import RANKED  # come as passes of other names
from ..scene import Occluders, Probe, camera, count_channels
from ..scene.soundness import LARGEST, is_sound

Fields = dict[str, Any]


def check(event: Fields, request: Fields) -> None:
    """Raises one of protocol.MALFORMED for an event that is no answer to its request. Both as worker.py lists them; of
    the second Blender, as its jobs."""
    fits = EVENTS[event["event"]](event, request) and isinstance(event.get("warning", ""), str)
    if not fits:
        raise ValueError(f"{event['event']!r} of another form than {request['op']!r} asks for")


def _is_number(value: Any, least: float = -math.inf, most: float = math.inf) -> bool:
    return isinstance(value, int | float) and least <= value <= most


def _is_array(value: Any, dtype: type, *shape: int | None) -> bool:
    """Whether a value is an array of a kind of numbers and of that shape, None for any side."""
    return (isinstance(value, np.ndarray) and np.issubdtype(value.dtype, dtype) and value.ndim == len(shape)
            and all(side in (None, found) for side, found in zip(shape, value.shape)))


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(each, str) for each in values)


def _are_passes(passes: Fields, wanted: Sequence[str], width: int, height: int, ours: bool) -> bool:
    """Whether these are passes of one size with all of their channels, the wanted ones among them. ours: with no more,
    either; of Cycles' some are cut off."""
    return (set(wanted) - {*RANKED} <= passes.keys() and all(
        _is_array(values, np.float32, height, width, 4 if name == "Combined" else None)
        and values.shape[2] >= (count_channels(name) or 1)
        and not (ours and values.shape[2] > (count_channels(name) or np.inf))
        for name, values in passes.items()))


def _is_drawn(answer: Fields, request: Fields) -> bool:
    width, height = request["size"]
    if request["border"] is not None:
        left, top, right, bottom = request["border"]
        width, height = right - left, bottom - top
    return isinstance(answer["stale"], bool) and _are_passes(answer["passes"], request["passes"], width, height, False)


def _are_probes(answer: Fields, request: Fields) -> bool:
    width, height = request["size"]
    return (isinstance(answer["stale"], bool) and len(answer["probes"]) == len(request["probes"]) and all(
        type(each) is Probe and _is_array(each.radiance, np.float32, height, width, 4) and is_sound(each)
        and list(each.groups) == request.get("groups", [])
        for each in answer["probes"]))


def _are_occluders(answer: Fields, request: Fields) -> bool:
    found = answer["occluders"]
    return (isinstance(answer["stale"], bool) and type(found) is Occluders
            and _is_array(found.vertices, np.float32, None, 3) and _is_array(found.faces, np.int32, None, 3)
            and is_sound(found))


def _are_maps(answer: Fields, request: Fields) -> bool:
    maps = answer["maps"]
    return ({"seen"} | ({"lighting"} if request["lighting"] else set()) == maps.keys() and all(
        _is_array(each, np.floating, None, None, 3) and 0 < each.shape[0] == each.shape[1] // 2
        for each in maps.values()))


def _is_pattern(answer: Fields, request: Fields) -> bool:
    return _is_array(answer["pattern"], np.floating, None, None, 3) and answer["pattern"].size > 0


def _are_pixels(answer: Fields, request: Fields) -> bool:
    pixels = answer["pixels"]
    return _is_array(pixels, np.float32, None, None, None) and pixels.size > 0 and pixels.shape[2] <= 4


def _is_mesh(mesh: Any) -> bool:
    """Whether Blender can take a mesh: every index and shape in it is right."""
    count = len(mesh.faces)
    return (type(mesh) is Mesh and _is_array(mesh.vertices, np.floating, None, 3)
            and _is_array(mesh.faces, np.integer, count, 3) and count > 0
            and 0 <= mesh.faces.min() and mesh.faces.max() < len(mesh.vertices)
            and _is_array(mesh.material_index, np.integer, count)
            and 0 <= mesh.material_index.min() and mesh.material_index.max() < len(mesh.materials)
            and all(part is None or _is_array(part, np.floating, count, 3, size) for part, size in (
                (mesh.corner_uv, 2), (mesh.corner_normal, 3), (mesh.corner_color, 4)))
            and all(map(_is_material, mesh.materials)))


def _is_material(material: Any) -> bool:
    maps = ((material.base_color_map, 4), (material.roughness_map, 0), (material.metallic_map, 0),
            (material.normal_map, 3), (material.emission_map, 4))
    return (type(material) is Material and isinstance(material.name, str) and len(material.base_color) == 4
            and len(material.emission) == 3
            and all(map(_is_number, (*material.base_color, material.roughness, material.metallic,
                                     material.normal_scale, *material.emission)))
            and all(each is None or _is_array(each, np.uint8, None, None, *((size,) if size else ())) and each.size
                    for each, size in maps))


def _is_baked(answer: Fields, request: Fields) -> bool:
    kind = request["kind"]
    return _is_number(answer["psnr"]) and (
        _is_mesh(answer["mesh"]) if kind == "mesh" else kind == "asset" or _is_array(answer["ply"], np.uint8, None))


def _is_made(answer: Fields, request: Fields) -> bool:
    """Whether it is an asset of photos, with the angles from which each was taken, or with those of none, and where
    cameras saw it, or nothing."""
    return (_is_array(answer["asset"], np.uint8, None) and len(answer["views"]) in (0, len(request["photos"]))
            and all(each is None or len(each) == 2 and all(_is_number(angle, -360, 360) for angle in each)
                    for each in answer["views"]) and _is_frame(answer["frame"]))


def _is_frame(frame: Any) -> bool:
    return not frame or (len(frame) == 4 and all(_is_number(each, -LARGEST, LARGEST) for each in frame)
                         and frame[3] > 0)


def _is_matte(answer: Fields, request: Fields) -> bool:
    return (_is_array(answer["picture"], np.uint8, None, None, 3) and answer["matte"].size > 0
            and _is_array(answer["matte"], np.uint8, *answer["picture"].shape[:2]) and _is_number(answer["objects"], 0))


def _is_posed(answer: Fields, request: Fields) -> bool:
    camera.from_json(answer["camera"])
    return (type(answer["stance"]) is Stance and all(map(_is_number, vars(answer["stance"]).values()))
            and _is_array(answer["picture"], np.uint8, None, None, 3) and answer["picture"].size > 0
            and _is_number(answer["overlap"], 0, 1) and _is_number(answer["span"], 0))


ANSWERS: dict[str, Callable[[Fields, Fields], bool]] = {
    "render": lambda answer, request: isinstance(answer["model"], str) and _is_number(answer["seconds"], 0)
    and isinstance(answer["blurred"], bool)
    and _are_passes(answer["passes"], request["settings"].passes, request["camera"].width, request["camera"].height,
                    True),
    "bake": _is_baked, "find_matte": _is_matte, "find_pose": _is_posed,
    "create_mesh": lambda answer, _: _is_array(answer["asset"], np.uint8, None),
    "create_image": _is_made, "draw": _is_drawn, "probe": _are_probes, "occluders": _are_occluders, "world": _are_maps,
    "lamp": _is_pattern, "pixels": _are_pixels,
    "textures": lambda answer, _: _is_mesh(answer["mesh"]) and _are_texts(answer["notes"]) and _is_array(
        answer["matrix"], np.floating, 4, 4),
    "gather": lambda answer, _: isinstance(answer["wrote"], bool),
    # of these nothing is made but words
    **dict.fromkeys(("open", "prepare", "check_checkpoint", "fetch_checkpoint", "verify_checkpoint", "set_up_python",
                     "probe_python", "remove"), lambda *_: True)}
EVENTS: dict[str, Callable[[Fields, Fields], bool]] = {
    "progress": lambda event, _: isinstance(event["phase"], str) and _is_number(event["fraction"], 0, 1.001),
    "preview": lambda event, _: _is_array(event["matte"], np.floating, None, None) and _is_array(
        event["crop"], np.floating, None, None, 3) and event["matte"].size > 0 and event["crop"].size > 0,
    "missing": lambda event, _: _are_texts(event["hashes"]),
    "cancelled": lambda event, _: True,
    "error": lambda event, _: isinstance(event["what"], str) and isinstance(event["fix"], str),
    "done": lambda event, request: ANSWERS[request["op"]](event, request)}
