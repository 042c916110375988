"""Assets in the Asset Browser: marked, with a preview that NeAR itself draws."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import bpy
import numpy as np

from .. import opening
from .._core import camera, directions, environment, errors, scene
from .._core import image as images
from ..asset import payload, proxy
from ..client import client, worker_process
from ..references import Reference
from .place import report_errors

SIZE = 256  # pixels, as Blender's own previews
LOOK_EVERY = 0.1  # seconds
_SKY, _GROUND, _LAMP = (0.5, 0.55, 0.65), (0.2, 0.18, 0.17), (9.0, 8.0, 7.0)  # radiance of the light of previews
_TOWARDS, _WIDE = (0.35, -0.6, 0.75), 0.93  # of the lamp, in the asset's frame, and the cosine of its edge

_drawing: dict[Reference, tuple[str, worker_process.JobHandle]] = {}  # with the hash of the asset that is drawn


class NEAR_OT_mark_asset(bpy.types.Operator):
    bl_idname = "near.mark_asset"
    bl_label = "Mark Neural Assets"
    bl_description = "Offer the selected neural assets in the Asset Browser, with a preview that NeAR draws"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if any(payload.find_payload(ob) is not None and ob.library is None for ob in context.selected_objects):
            return True
        cls.poll_message_set("No neural asset of this file is selected")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        for ob in context.selected_objects:
            if payload.find_payload(ob) is None or ob.library is not None:
                continue
            ob.asset_mark()
            with report_errors(self, "WARNING"):
                _begin(ob)
        if bpy.app.background:
            while _drawing:
                for _, job in _drawing.values():
                    job.wait()
                _show()
        elif not bpy.app.timers.is_registered(_show):
            bpy.app.timers.register(_show, first_interval=LOOK_EVERY)
        return {"FINISHED"}


def _begin(ob: Any) -> None:
    job = ask(ob)
    _drawing[Reference.to_object(ob)] = payload.find_hash(payload.find_payload(ob)) or "", job


def ask(ob: Any) -> worker_process.JobHandle:
    """Has the asset that ob stands for drawn as previews show it. Raises NearError."""
    mesh = payload.find_payload(ob)
    data, key = payload.read_bytes(mesh), payload.find_hash(mesh)
    if data is None or key is None:
        raise errors.NearError("The asset of {name} is not in this file.", "Create or import it again.", name=ob.name)
    asset, sky = payload.decode_asset(ob), make_light()
    low, high = asset.coords.min(0), asset.coords.max(0) + 1
    matrix, size = np.eye(4), float(np.linalg.norm(high - low)) / 64
    matrix[:3, 3] = 0.5 - (low + high) / 128
    view = camera.orbit(30, 20, 1.9 * size, 30, SIZE, SIZE)
    needs: dict[str, Callable[[], dict]] = {
        key: lambda: {"kind": "asset", "data": data, "name": f"The asset of {ob.name}"},
        sky.hash: lambda: {"kind": "map", "data": sky.map, "name": "The light of previews"}}
    light = {"map": sky.hash, "world_to_map": sky.world_to_map, "strength": 1.0}
    return client.get_worker().submit(
        "render", needs=needs, camera=view, settings=scene.Settings(passes=("Combined",)), backdrop=None,
        instances=[{"asset": key, "matrix": matrix, "name": ob.name}], environment=light)


def make_light() -> environment.Environment:
    """A bright sky, a dull ground and a large lamp at the front."""
    up, around = (np.pi * (0.5 - (np.arange(64) + 0.5) / 64))[:, None], np.pi * (1 - (np.arange(128) + 0.5) / 64)
    across = np.stack(np.broadcast_arrays(np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)), -1)
    up = across[..., 2:] * 0.5 + 0.5
    lamp = across @ directions.unit(np.array(_TOWARDS)) > _WIDE
    radiance: np.ndarray = _GROUND + up * np.subtract(_SKY, _GROUND) + lamp[..., None] * np.array(_LAMP)
    return environment.Environment(radiance.astype(np.float32))


def _show() -> float | None:
    """Gives the previews that are done to their objects."""
    for drawn, (key, job) in list(_drawing.items()):
        if not job.done:
            continue
        del _drawing[drawn]
        ob = drawn.find()
        if ob is not None and payload.find_hash(payload.find_payload(ob)) not in (key, None):
            with contextlib.suppress(errors.NearError):  # its asset was made again meanwhile
                _begin(ob)
        elif job.error is None and ob is not None:
            picture = job.result()["passes"]["Combined"]
            alpha = picture[..., 3:]
            color = images.srgb_encode(picture[..., :3] / np.maximum(alpha, 1e-6))
            proxy.set_preview(ob, np.round(255 * np.clip(np.concatenate([color, alpha], -1), 0, 1)).astype(np.uint8))
    return LOOK_EVERY if _drawing else None


CLASSES = (NEAR_OT_mark_asset,)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]


def register() -> None:
    _register()
    opening.add(_drawing.clear)


def unregister() -> None:
    opening.remove(_drawing.clear)
    if bpy.app.timers.is_registered(_show):
        bpy.app.timers.unregister(_show)
    _unregister()
