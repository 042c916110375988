"""The artist's scene on its way to the second Blender: written when something changed, otherwise only its pose.

Blender tells what changed (depsgraph_update_post). A scene is written by libraries.write, which touches neither file,
selection, undo nor recent files, on the main thread. Where only objects moved, or the frame changed, a request's pose
is enough: the second Blender evaluates the frame itself and puts every object where the pose has it.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .. import handlers, log, scratch
from .._core import errors
from ..asset import looks
from ..client import cycles_loss
from ..client.cycles_process import SceneState
from ..scene import sync
from . import scene_properties
from . import skins as cycles_skins

_ADVICE = "Free space for temporary files, or choose another folder in Preferences > File Paths."
_MAIN_THREAD_WITHIN = 2.0  # seconds until the main thread is taken for busy

_numbers = itertools.count(1)
_written: dict[int, SceneFile] = {}  # by the scene's session_uid
_names_of: dict[type, list[str]] = {}  # what counts of a group of settings
_CAMERA = ("type", "lens", "sensor_fit", "sensor_width", "sensor_height", "shift_x", "shift_y", "clip_start",
           "clip_end", "ortho_scale")
_ASKED = ("resolution_", "use_pass_", "samples", "preview_")  # settings that each request brings, or a viewport has
_CHOSEN = ("name", "material_override", "world_override")  # of a view layer
_FOCUS = ("use_dof", "focus_distance", "aperture_fstop", "aperture_blades", "aperture_rotation", "aperture_ratio")
_SWITCHES = ("hide_render", "visible_camera", "visible_diffuse", "visible_glossy", "visible_transmission",
             "visible_volume_scatter", "visible_shadow", "is_holdout", "is_shadow_catcher", "show_instancer_for_render")


@dataclass(frozen=True)
class SceneFile:
    """A scene as it was written. folder: holds scene.blend and goes with the last job that needs it."""

    key: str
    name: str
    folder: tempfile.TemporaryDirectory
    settings: str
    questions: str  # as scene_properties.collect_questions gives them: what is asked for changes with the scene
    note: str
    beside: dict[str, Any]  # what a .blend file does not hold

    def describe(self) -> dict[str, Any]:
        """The fields of "put"."""
        return {"kind": "scene", "path": str(Path(self.folder.name) / "scene.blend"), "name": self.name, **self.beside}


def capture(depsgraph: bpy.types.Depsgraph) -> SceneState:
    """The state of what depsgraph, evaluated for a render, shows. Called from any thread; waits for the main thread.

    Raises NearError where the scene cannot be written.
    """
    scene: Any = depsgraph.scene
    file = _on_main_thread(lambda: _write(scene.original))
    posed = np.array([ob.type != "CAMERA" for ob in depsgraph.objects], bool)
    names = list(itertools.compress((ob.name_full for ob in depsgraph.objects), posed))
    frame = depsgraph.scene_eval
    return SceneState({"scene": file.key, "layer": depsgraph.view_layer.name, "frame": frame.frame_current,
                       "subframe": frame.frame_subframe, "names": names,
                       "matrices": sync.read_matrices(depsgraph.objects)[posed], "looks": looks.collect(depsgraph)},
                      {file.key: file.describe}, file.note)


def describe_camera(engine: bpy.types.RenderEngine, depsgraph: bpy.types.Depsgraph, view: str = "") -> dict[str, Any]:
    """The camera of a final render for the second Blender. view: name of the stereo view, active in engine."""
    ob = sync.find_camera_object(engine, depsgraph, view)
    return describe_camera_object(ob, np.array(engine.camera_model_matrix(ob)), engine.camera_shift_x(ob))


def describe_camera_object(ob: Any, matrix: np.ndarray | None = None, shift_x: float | None = None) -> dict[str, Any]:
    """A camera for the second Blender. matrix: (4, 4) camera to world and shift_x, where they are not the object's."""
    data, focus = ob.data, ob.data.dof
    matrix = np.array(ob.matrix_world if matrix is None else matrix, np.float64)
    lens = {name: getattr(data, name) for name in _CAMERA}
    blur = {name: getattr(focus, name) for name in _FOCUS}
    if focus.focus_object is not None:
        away = np.array(focus.focus_object.matrix_world)[:3, 3] - matrix[:3, 3]
        blur["focus_distance"] = abs(float(away @ matrix[:3, 2])) / max(float(np.linalg.norm(matrix[:3, 2])), 1e-9)
    return {"matrix": matrix, "lens": lens if shift_x is None else lens | {"shift_x": shift_x}, "focus": blur}


def forget() -> None:
    """Has the next state written anew."""
    _written.clear()


def _write(scene: bpy.types.Scene) -> SceneFile:
    context = bpy.context
    layer = context.view_layer if context.scene == scene and context.view_layer else scene.view_layers[0]
    layer.update()  # what scripts changed is only now told
    file = _written.get(scene.session_uid)
    questions = scene_properties.collect_questions() if file is None else file.questions
    settings = _describe_settings(scene, questions)
    if file is not None and file.settings == settings:
        return file
    try:
        _, folder = scratch.write(scene, "scene")
    except OSError as error:
        raise errors.NearError("The scene could not be handed to the second Blender ({reason}).", _ADVICE,
                               reason=error) from error
    file = SceneFile(f"scene {next(_numbers)}", scene.name, folder, settings, questions, cycles_loss.describe(scene),
                     {"painted": cycles_loss.collect_painted(), "devices": cycles_loss.describe_devices(),
                      "payloads": cycles_skins.list_payloads()})
    _written[scene.session_uid] = file
    return file


def _describe_settings(scene: Any, questions: str) -> str:
    """What Cycles draws by and Blender does not tell about, or tells of every object at every F12 in a window."""
    data: Any = bpy.data
    owners = [scene, *scene.view_layers, *data.materials, *data.lights, *data.worlds]
    groups = [scene.render, getattr(scene, "cycles_curves", None), *scene.view_layers,
              *(getattr(owner, "cycles", None) for owner in owners)]
    return str([[_list_values(group) for group in groups if group is not None],
                scene_properties.list_asked(scene, questions),
                _list_looks(data.objects),
                [(_list_layers(layer.layer_collection), [(aov.name, aov.type) for aov in layer.aovs],
                  [group.name for group in layer.lightgroups]) for layer in scene.view_layers],
                [world.lightgroup for world in data.worlds],
                cycles_loss.stamp_painted(), cycles_loss.stamp_files(scene.frame_current)])


def _list_values(group: Any) -> list[Any]:
    kind = type(group)
    if kind not in _names_of:
        _names_of[kind] = [p.identifier for p in group.bl_rna.properties
                           if p.type in ("BOOLEAN", "INT", "FLOAT", "ENUM") and not getattr(p, "is_array", False)
                           and not p.identifier.startswith(_ASKED) or p.identifier in _CHOSEN]
    values = [getattr(group, name) for name in _names_of[kind]]
    return [value.name_full if isinstance(value, bpy.types.ID) else value for value in values]


def _list_looks(objects: Any) -> list[Any]:
    """Of all objects; there may be ten thousand."""
    switches, numbers = np.empty((len(_SWITCHES), len(objects)), bool), np.empty(len(objects), np.int32)
    colors = np.empty((len(objects), 4), np.float32)
    for name, values in zip(_SWITCHES, switches):
        objects.foreach_get(name, values)
    objects.foreach_get("pass_index", numbers)
    objects.foreach_get("color", colors.ravel())
    return [switches.tobytes(), numbers.tobytes(), colors.tobytes(), [_list_links(ob) for ob in objects]]


def _list_links(ob: Any) -> list[Any]:
    linking, own = getattr(ob, "light_linking", None), _find_own(ob)
    linked = [linking.receiver_collection, linking.blocker_collection] if linking else []
    return [ob.name_full, ob.instance_type, ob.lightgroup, sorted(own.to_dict().items()) if own else [],
            *(each and each.name_full for each in (*(slot.material for slot in ob.material_slots), *linked,
                                                   ob.near.asset, ob.parent))]


def _find_own(ob: Any) -> Any:
    """What of Cycles' settings of an object was ever set."""
    kept = ob.bl_system_properties_get() if bpy.app.version >= (5, 0, 0) else ob
    own = kept and kept.get("cycles")
    return own if hasattr(own, "to_dict") else None  # before 5.0 an artist's own property may be called so


def _list_layers(collection: Any) -> list[Any]:
    return [collection.exclude, collection.holdout, collection.indirect_only, *map(_list_layers, collection.children)]


def _on_main_thread(work: Callable[[], Any]) -> Any:
    """What work returns, called on the main thread; here, where that does not answer in time."""
    if threading.current_thread() is threading.main_thread():
        return work()
    taken, done, answer = threading.Lock(), threading.Event(), {}

    def run() -> None:
        if not taken.acquire(blocking=False):
            return
        try:
            answer["value"] = work()
        except Exception as error:
            answer["error"] = error
        finally:
            done.set()

    bpy.app.timers.register(run)
    if not done.wait(_MAIN_THREAD_WITHIN) and taken.acquire(blocking=False):
        log.add("The main thread is busy: the scene is written beside it.")
        return work()
    done.wait()
    if "error" in answer:
        raise answer["error"]
    return answer["value"]


@bpy.app.handlers.persistent
def _on_update(_scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    if not _written:
        return
    for update in depsgraph.updates:
        moved_only = isinstance(update.id, bpy.types.Object) and not update.is_updated_geometry
        camera = isinstance(update.id, bpy.types.Camera) or getattr(update.id, "type", "") == "CAMERA"
        if not (moved_only or camera or isinstance(update.id, bpy.types.Scene)):  # its settings are compared
            forget()
            return


@bpy.app.handlers.persistent
def _on_load(*_: Any) -> None:
    forget()


_HANDLERS = {"depsgraph_update_post": _on_update, "load_post": _on_load, "undo_post": _on_load, "redo_post": _on_load}


def register() -> None:
    handlers.add(_HANDLERS)


def unregister() -> None:
    handlers.remove(_HANDLERS)
    forget()
