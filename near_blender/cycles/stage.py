"""The artist's scene in the second Blender: opened, posed as the first one shows it, and drawn by Cycles."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from .._core import errors
from ..client import cycles_loss
from ..scene import sync
from ..shaders import node_trees
from . import motion as cycles_motion
from .aovs import Values
from .denoiser import Marks
from .filter import GlossyFilter
from .front import Holes
from .looks import DressedProxies
from .simulations import Simulations
from .skins import Skins

_DENOISING = {"denoising_input_passes": "RGB_ALBEDO_NORMAL", "denoising_prefilter": "FAST", "denoising_quality": "FAST"}
_TRIES = 3  # to put objects where they shall be: those held may set others free that hung on them
_SKETCHES = ("GREASEPENCIL", "GPENCIL")  # the first Blender draws them over the picture; here they would cost, or crash
_AWAY = 1e-5  # of an object's size and distance: matrices that differ less are the same


class StagedScene:
    """One scene. stale: whether something that a request shows is not in it."""

    def __init__(self) -> None:
        self.key = ""
        self.scene: Any = None
        self.layer: Any = None
        self.own: dict[str, Any] = {}  # settings that jobs change, as the artist has them
        self.stale = False
        self._camera: Any = None
        self._dressed: Any = None
        self._anchor: Any = None
        self.holes: Any = None
        self.values: Any = None
        self.filter: Any = None
        self.marks: Any = None
        self._simulations: Any = None
        self._has_uv = False  # whether its pictures hold the pass UV
        self._seen: dict[str, bool] = {}  # visible_camera of the objects that jobs change, as the artist has it
        self._pose: dict[str, np.ndarray] = {}

    @property
    def objects(self) -> Any:
        """Every object of the scene, in instanced collections, too: the file holds no others."""
        return bpy.data.objects

    def open(self, key: str, file: dict[str, Any]) -> None:
        """Opens the scene of that name from a .blend file, unless it is the open one. Raises NearError."""
        if key == self.key:
            return
        self.key = ""
        if not os.path.isfile(file["path"]):
            raise errors.NearError("The scene that was handed to the second Blender is gone.", "Render again.")
        bpy.ops.wm.open_mainfile(filepath=file["path"], load_ui=False, use_scripts=False)
        scene: Any = bpy.data.scenes[file["name"]]
        cycles_loss.restore_painted(file["painted"])
        cycles_loss.choose_devices(file["devices"])
        bpy.context.window_manager.windows[0].scene = scene  # a scene in no window would be drawn at frame 1
        self.scene, self._seen, self.stale = scene, {}, False
        self.own = {"film_transparent": scene.render.film_transparent, "film_exposure": scene.cycles.film_exposure}
        self._camera, self._anchor = add_object(scene, bpy.data.cameras.new("NeAR")), add_object(scene, None)
        self._dressed = DressedProxies(Skins(file["payloads"]))
        scene.camera, self.holes = self._camera, Holes(scene, self._dressed.find_mesh)
        self.values, self.filter, self.marks = Values(), GlossyFilter(scene), Marks()
        self._simulations = Simulations(scene)
        self._has_uv = any(layer.use_pass_uv for layer in scene.view_layers)
        scene.timeline_markers.clear()  # they could choose another camera
        set_up(scene)
        self.key = key

    def pose(self, fields: dict[str, Any], progress: Callable[[str, float], None]) -> None:
        """Goes to the view layer and the frame of a request."""
        self.layer = self.scene.view_layers[fields["layer"]]
        bpy.context.window_manager.windows[0].view_layer = self.layer
        for layer in self.scene.view_layers:  # the render operator's own choice of one does nothing
            _set(layer, "use", layer == self.layer)
        self._simulations.play(fields["frame"], lambda done, of: progress("Preparing ordinary objects", done / of))
        if (self.scene.frame_current, self.scene.frame_subframe) != (fields["frame"], fields["subframe"]):
            self.scene.frame_set(fields["frame"], subframe=fields["subframe"])
        self._simulations.let_bodies_move(False)
        self._dressed.wear(fields["looks"])
        self._pose = dict(zip(fields["names"], fields["matrices"]))
        self.stale = False

    def look_through(self, camera: dict[str, Any]) -> None:
        """Puts the camera where cycles_scene.describe_camera says."""
        data = self._camera.data
        for owner, values in ((data, camera["lens"]), (data.dof, camera["focus"])):
            for name, value in values.items():
                _set(owner, name, value)
        motion = camera.get("motion")
        cycles_motion.open_shutter(self.scene, motion)
        cycles_motion.stop(self._camera)
        _set_matrix(self._camera, camera["matrix"])
        if motion is not None:
            cycles_motion.animate(self._camera, motion["places"], self.time, motion["shutter"])

    @property
    def time(self) -> float:
        """The frame that is drawn, with what is beyond it."""
        return self.scene.frame_current + self.scene.frame_subframe

    def look_around(self, position: np.ndarray) -> None:
        """Puts a panorama at a place of the world; its middle is +X."""
        cycles_motion.open_shutter(self.scene, None)
        cycles_motion.stop(self._camera)
        look_around(self._camera, position)

    def frame(self, size: tuple[int, int], border: tuple[int, int, int, int] | None) -> None:
        """The picture's size, and the part of it that is drawn: left, top, right, bottom in pixels."""
        render, (width, height) = self.scene.render, size
        for name, value in (("resolution_x", width), ("resolution_y", height), ("resolution_percentage", 100),
                            ("use_border", border is not None), ("use_crop_to_border", True)):
            _set(render, name, value)
        if border is not None:
            left, top, right, bottom = border  # Blender rounds down
            for name, pixel, count in (("min_x", left, width), ("max_x", right, width),
                                       ("min_y", height - bottom, height), ("max_y", height - top, height)):
                _set(render, f"border_{name}", min(1.0, (pixel + 0.5) / count) if pixel else 0.0)

    def use_samples(self, samples: int, denoise: bool, threads: int) -> None:
        """How much Cycles computes. threads: 0 for all."""
        cycles, render = self.scene.cycles, self.scene.render
        denoise = denoise and can_denoise(self.scene)
        for owner, name, value in ((cycles, "samples", max(1, samples)), (cycles, "use_denoising", denoise),
                                   (render, "threads_mode", "FIXED" if threads else "AUTO"),
                                   (render, "threads", threads or render.threads)):
            _set(owner, name, value)

    def keep_uv(self, wanted: bool) -> None:
        """Has every picture hold the pass UV once one wants it. Cycles, which keeps what it was given, would look for
        the UVs of what is there only one picture later, unless all of it is new."""
        if wanted and not self._has_uv:
            self._has_uv = True
            for ob in bpy.data.objects:
                ob.update_tag(refresh={"DATA"})
        _set(self.layer, "use_pass_uv", self._has_uv)

    def hide_from_camera(self, hidden: Iterable[str], shown: Iterable[str] = ()) -> None:
        """Has the camera not see those objects, and see the `shown` that are not hidden; all others as the artist."""
        hidden, known = set(hidden), {ob.name_full: ob for ob in bpy.data.objects}
        for name in {*self._seen, *hidden, *shown} & known.keys():
            ob: Any = known[name]
            own = self._seen.setdefault(name, ob.visible_camera)
            _set(ob, "visible_camera", name not in hidden and (own or name in shown))

    @contextlib.contextmanager
    def without_film_tricks(self, holdouts: bool = True, others: bool = False) -> Iterator[None]:
        """Meanwhile holdouts and, with others, shadow catchers and what is indirect only are what they are to rays that
        do not come from the camera."""
        changed = [(ob, "is_holdout", False) for ob in self.objects if holdouts and ob.is_holdout]
        changed += [(ob, "is_shadow_catcher", False) for ob in self.objects if others and ob.is_shadow_catcher]
        changed += [(each, name, False) for each in _list_layers(self.layer.layer_collection)
                    for name, wanted in (("holdout", holdouts), ("indirect_only", others))
                    if wanted and getattr(each, name)]
        if holdouts:  # nothing, as a muted node says, is black and solid
            changed += [(node, "mute", True) for material in bpy.data.materials if material.node_tree
                        for tree in node_trees.list_trees(material.node_tree) for node in tree.nodes
                        if node.type == "HOLDOUT" and not node.mute]
        _switch(changed)
        try:
            yield
        finally:
            _switch([(owner, name, not value) for owner, name, value in changed])

    def draw(self, progress: Callable[[str, float], None],
             look: Callable[[bpy.types.Depsgraph], None] | None = None) -> dict[str, np.ndarray]:
        """The passes (H, W, channels) float32 by Blender's names, row 0 on top. Raises NearError, Cancelled.

        look: called with what would be drawn, instead of drawing it.
        """
        for pose in (*[self._pose] * _TRIES, {}):  # what cannot be held is drawn where this Blender has it
            drawing = Drawing(pose, progress, look)
            drawn = drawing.run(self.scene)
            progress("Drawing ordinary objects", 1.0)
            if not drawing.moved:
                break
            for ob in (ob for ob in bpy.data.objects if ob.name_full in drawing.moved):
                self._hold(ob, self._pose[ob.name_full])
        self.stale |= bool(drawing.missing) or pose is not self._pose
        return drawn

    def _hold(self, ob: Any, matrix: np.ndarray) -> None:
        """Puts an object where it shall be, whatever moved it: sheared matrices need a parent. That is the topmost one,
        which Cryptomatte asks for, where it can be."""
        ob.constraints.clear()
        if ob.animation_data is not None:
            ob.animation_data_clear()
        ob.delta_location, ob.delta_rotation_euler, ob.delta_scale = (0, 0, 0), (0, 0, 0), (1, 1, 1)
        ob.delta_rotation_quaternion = (1, 0, 0, 0)
        top, place = sync.find_top(ob), Matrix(matrix.tolist())
        above = self._pose.get(top.name_full)
        if top in (ob, self._anchor) and _is_near(np.array(Matrix.LocRotScale(*place.decompose())), matrix):
            ob.parent, ob.matrix_basis = None, place
            return
        if top == ob or above is None or not Matrix(above.tolist()).determinant():
            top, above = self._anchor, np.eye(4)
        ob.parent, ob.parent_type = top, "OBJECT"
        ob.matrix_parent_inverse = Matrix((np.linalg.inv(above) @ matrix).tolist())
        ob.matrix_basis = Matrix()


class Drawing:
    """One run of Cycles: its passes are taken before they would go to a file.

    moved: names of the objects that were not where the pose has them; then nothing was drawn. missing: not there.
    """

    def __init__(self, pose: dict[str, np.ndarray], progress: Callable[[str, float], None],
                 look: Callable[[bpy.types.Depsgraph], None] | None = None):
        self.moved: list[str] = []
        self.missing: set[str] = set()
        self._pose, self._progress, self._look = pose, progress, look
        self._passes: dict[str, np.ndarray] = {}

    def run(self, scene: Any) -> dict[str, np.ndarray]:
        """Draws the view layer in use. Raises NearError where Cycles cannot."""
        import cycles
        from cycles import engine

        def render(this: Any, depsgraph: bpy.types.Depsgraph) -> None:
            self._compare(depsgraph)
            if self.moved:
                return
            if self._look is not None:
                self._look(depsgraph)
            else:
                engine.render(this, depsgraph)
                self._take(this.get_result())

        stats: Any = bpy.app.handlers.render_stats
        stats.append(self._tell)
        cycles.CyclesRender.render = render
        try:
            bpy.ops.render.render(scene=scene.name)
        except RuntimeError as error:
            raise errors.NearError("Cycles could not draw the ordinary objects ({reason}).",
                                   "See the log in Check Setup.", reason=error) from error
        finally:
            stats.remove(self._tell)
        return self._passes

    def _compare(self, depsgraph: bpy.types.Depsgraph) -> None:
        here = {ob.name_full: ob for ob in depsgraph.objects}
        names = [name for name in self._pose if name in here]
        self.missing = self._pose.keys() - here.keys()
        if self.missing:  # what is only hidden here counts as there
            self.missing -= {ob.name_full for ob in bpy.data.objects}
        if not names:
            return
        now = np.array([here[name].matrix_world for name in names], np.float64)
        wanted = np.array([self._pose[name] for name in names])
        with np.errstate(invalid="ignore"):
            there = _is_near(now, wanted)
        self.moved = [name for name, good in zip(names, there) if not good]

    def _take(self, result: Any) -> None:
        width, height = result.resolution_x, result.resolution_y
        for each in result.layers[0].passes if result.layers else ():
            values = np.empty(width * height * each.channels, np.float32)
            each.rect.foreach_get(values)
            self._passes[each.name] = values.reshape(height, width, each.channels)[::-1].copy()

    def _tell(self, text: str, *_: Any) -> None:
        found = re.search(r"Sample (\d+)/(\d+)", str(text))
        done, of = map(int, found.groups()) if found else (0, 1)
        with contextlib.suppress(errors.Cancelled):  # nothing may be raised here; the first Blender ends us
            if found:
                self._progress("Drawing ordinary objects", 0.9 * done / max(1, of))
            else:
                self._progress("Preparing ordinary objects", 0.0)


def _is_near(now: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Whether matrices (..., 4, 4) are those that are wanted."""
    return np.abs(now - wanted).max((-2, -1)) <= _AWAY * (1e-3 + np.abs(wanted).max((-2, -1)))


def _switch(changed: list[tuple[Any, str, bool]]) -> None:
    """Sets properties of objects, layers and nodes. Blender 5.2 does not tell Cycles of a muted node, which keeps what
    it has drawn."""
    for owner, name, value in changed:
        setattr(owner, name, value)
        if name == "mute":
            owner.id_data.update_tag()


def _list_layers(collection: Any) -> Iterator[Any]:
    yield collection
    for child in collection.children:
        yield from _list_layers(child)


def set_up(scene: Any) -> None:
    """Has Cycles draw, keep its data, and nothing come after it."""
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.use_persistent_data = True
    for name in ("use_compositing", "use_sequencer", "use_multiview", "use_freestyle", "use_stamp"):
        setattr(render, name, False)
    cycles.use_auto_tile = cycles.use_adaptive_sampling = False
    cycles.time_limit, cycles.use_layer_samples = 0, "IGNORE"
    for ob in bpy.data.objects:  # in instanced collections, too
        if ob.type in _SKETCHES:
            ob.hide_render = ob.hide_viewport = True
    for image, user in node_trees.list_image_users():
        if image.source in ("SEQUENCE", "MOVIE"):  # what Cycles keeps follows frames only so
            user.use_auto_refresh = True
    for name, value in _DENOISING.items():  # what the artist chose stays
        if hasattr(cycles, name) and not cycles.is_property_set(name):
            setattr(cycles, name, value)


def can_denoise(scene: Any) -> bool:
    """Whether this Blender was built with OpenImageDenoise."""
    try:
        scene.cycles.denoiser = "OPENIMAGEDENOISE"
    except TypeError:
        return False
    return True


@contextlib.contextmanager
def alone(name: str) -> Iterator[Any]:
    """A scene in the window, since what is drawn has to be in one; all that comes meanwhile goes with it. Nothing else
    does: what the open scene shows later may have no user now."""
    data: Any = bpy.data
    window = bpy.context.window_manager.windows[0]
    shown, there = window.scene, set(data.user_map())
    scene = data.scenes.new(name)
    window.scene = scene  # one in no window would be drawn at frame 1
    try:
        yield scene
    finally:
        window.scene = shown
        data.scenes.remove(scene)
        data.batch_remove(set(data.user_map()) - there)  # what was appended may be kept by a fake user


def append(kind: str, request: Any) -> Any:
    """The datablock `request["name"]` of a kind, as "objects", from the file `request["path"]`. Raises NearError."""
    libraries: Any = bpy.data.libraries
    try:
        with libraries.load(request["path"]) as (_, wanted):
            setattr(wanted, kind, [request["name"]])
        made = getattr(wanted, kind)[0]
    except OSError:
        made = None
    if made is None:
        raise errors.NearError("{name} could not be handed to the second Blender.", "Try again.", name=request["name"])
    return made


def add_object(scene: Any, data: Any) -> Any:
    ob = bpy.data.objects.new("NeAR", data)
    scene.collection.objects.link(ob)
    return ob


def look_around(ob: Any, position: np.ndarray) -> None:
    """Makes a camera object an equirectangular panorama at a place of the world, whose middle is +X."""
    data = ob.data
    _set(data, "type", "PANO")
    _set(data.dof, "use_dof", False)
    _set(data, "clip_start", 1e-4)
    _set(data, "clip_end", 1e9)
    # a property of the camera from 5.0, of Cycles' group before
    _set(data if hasattr(data, "panorama_type") else data.cycles, "panorama_type", "EQUIRECTANGULAR")
    matrix = np.eye(4)
    matrix[:3, :3] = (0, 0, -1), (-1, 0, 0), (0, 1, 0)
    matrix[:3, 3] = position
    _set_matrix(ob, matrix)


def _set(owner: Any, name: str, value: Any) -> None:
    """Sets a property where it differs: Blender evaluates again what is set."""
    if getattr(owner, name) != value:
        setattr(owner, name, value)


def _set_matrix(ob: Any, matrix: np.ndarray) -> None:
    if not np.allclose(np.array(ob.matrix_world), matrix, rtol=0, atol=0):
        ob.matrix_world = Matrix(matrix.tolist())
