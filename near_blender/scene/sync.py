"""The scene as plain arrays: what the depsgraph shows becomes instances, a camera and settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import bpy
import numpy as np

from .. import flags
from .._core import camera as cameras
from .._core import deformation, environment, errors, scene
from ..asset import following, looks, payload
from .lamps import VisibleLamps
from .world_light import WorldLight

MOST_COMPARED = 2_000  # instances
NO_MATERIAL = "default_surface"  # what Cycles calls the material of what has none


@dataclass(frozen=True)
class Owner:
    """What data passes call an object: its name and pass index, its material's, and the name of its topmost parent."""

    name: str
    index: int
    material: str
    material_index: int
    top: str


@dataclass
class VisibleAssets:
    """The neural assets that a depsgraph shows. Nothing of it is Blender's own, so that it outlives undo.

    instances: one dict per instance, `asset` the payload's hash, `matrix` (4, 4) float64 asset frame -> world, `look`,
        `shadow`, `group` and `name` as near_core.scene.Instance's, the name_full of the object, and `probe`, a hash,
        where one was given.
    needs: hash -> function that returns what the worker keeps under it (worker_process.WorkerProcess.submit).
    owners: one per instance. keys: what find_key calls it. standing: beside each its object's matrix_world (4, 4).
    frames: beside each asset frame -> object (4, 4). bends: what deforms each, if anything does. bounds: corners (8, 3)
        in the world of what each one's object shows.
    held: numbers of the instances that are holdouts: nothing lights them, and they cut what is behind them out of the
        picture.
    problems: sentences about assets that are gone, and objects whose modifiers or edits their asset cannot follow.
    """

    instances: list[dict[str, Any]] = field(default_factory=list)
    needs: dict[str, Callable[[], dict]] = field(default_factory=dict)
    owners: list[Owner] = field(default_factory=list)
    keys: list[tuple] = field(default_factory=list)
    standing: list[np.ndarray] = field(default_factory=list)
    frames: list[np.ndarray] = field(default_factory=list)
    bends: list[deformation.Deformation | None] = field(default_factory=list)
    bounds: list[np.ndarray] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def darken_held(self) -> None:
        """Has nothing light the holdouts, nor show what glows of them."""
        size = 8, 16
        for number in self.held:
            self.instances[number]["look"] = replace(self.instances[number]["look"], exposure=scene.DARK)
            self.give_probe(number, scene.Probe(np.tile(np.array([0, 0, 0, 1], np.float32), (*size, 1)),
                                                np.ones(size, np.float32), np.zeros(3)))

    def give_probe(self, number: int, probe: scene.Probe) -> None:
        """Has the instance of this number lit by what its probe shows."""
        self.instances[number]["probe"] = probe.hash
        self.needs[probe.hash] = lambda: {"kind": "probe", "data": probe, "name": "A probe"}

    def add(self, instance: Any, copy: following.Copy) -> None:
        """Adds what an instance of a depsgraph shows, unless that is gone."""
        ob, key, bent = instance.object, payload.find_hash(copy.payload), copy.deformation
        if key is None:
            self._note(errors.Message("The asset of {name} is not in this file. Find the missing library, or create or "
                                      "import the asset again.", name=ob.original.name))
            return
        if key not in self.needs:
            self.needs[key] = _reader(copy.payload, ob.original.name)
        if bent is not None:
            self.needs[bent.hash] = lambda: {"kind": "deformation", "data": bent, "name": "A deformation"}
        standing = np.array(instance.matrix_world, np.float64)
        sizes = np.linalg.norm(standing[:3, :3], axis=0)
        if sizes.any() and not sizes.all():  # 0 on all axes is a way to hide things
            self.tell(ob.original.name, errors.Message("an asset without thickness is not drawn"))
        self.keys.append(find_key(instance))
        self.standing.append(standing)
        self.frames.append(copy.frame)
        self.bends.append(bent)
        self.bounds.append(read_bounds(ob, standing))
        self.owners.append(describe_owner(ob))
        self.instances.append({"asset": key, "matrix": standing @ copy.frame, "look": looks.read(ob),
                               "shadow": ob.visible_shadow, "name": ob.original.name_full,
                               "deformation": bent and bent.hash, "group": ob.lightgroup})

    def tell(self, name: str, problem: str) -> None:
        """Takes note of what the asset of an object cannot follow."""
        if problem:
            self._note(errors.Message("{name}: {problem}.", name=name, problem=problem))

    def _note(self, problem: errors.Message) -> None:
        """Once, however many instances have it."""
        if problem not in self.problems:
            self.problems.append(problem)


def is_asset(ob: Any) -> bool:
    """Whether ob, original or evaluated, stands for a neural asset."""
    return ob.original.near.asset is not None


def describe_owner(ob: Any) -> Owner:
    """Of an object, original or evaluated. It counts as made of its first material."""
    material = ob.material_slots[0].material if len(ob.material_slots) else None
    name, index = (NO_MATERIAL, 0) if material is None else (material.name, material.pass_index)
    return Owner(ob.name, ob.pass_index, name, index, find_top(ob).name)


def find_top(ob: Any) -> Any:
    """The topmost parent of an object; itself where it has none."""
    while ob.parent is not None:
        ob = ob.parent
    return ob


def collect_assets(depsgraph: bpy.types.Depsgraph, space: bpy.types.SpaceView3D | None = None) -> VisibleAssets:
    """Every visible neural asset, instances included.

    space: the viewport that is drawn, whose local view counts; None in final renders.
    Indirect-only objects, shadow catchers and those hidden from the camera are left out: they would only act on light;
    in viewports holdouts, too.
    """
    assets, layer = VisibleAssets(), depsgraph.view_layer_eval
    shown: dict[tuple, following.Following] = {}
    plain = set[int]()  # meshes of others that were looked at
    for instance in depsgraph.object_instances:
        ob: Any = instance.object
        if not (instance.show_self and ob.type == "MESH"):
            continue
        if not is_asset(ob):
            if ob.modifiers and ob.data.as_pointer() not in plain:
                plain.add(ob.data.as_pointer())
                assets.tell(ob.original.name, following.find_strangers(ob))
            continue
        seen = ob.visible_camera or ob.original.near.is_composited
        held = ob.holdout_get(view_layer=layer)
        if not seen or ob.is_shadow_catcher or ob.indirect_only_get(view_layer=layer) or held and space is not None:
            continue
        if space is not None and not (instance.parent or ob).visible_in_viewport_get(space):
            continue
        # objects that share a mesh follow it alike, whatever their number
        alike = ob.original.near.asset, ob.data.as_pointer(), ob.original.mode == "EDIT", bool(ob.modifiers)
        if alike not in shown:
            shown[alike] = following.follow(ob)
        assets.tell(ob.original.name, shown[alike].problem)
        for copy in shown[alike].copies:
            count = len(assets.instances)
            assets.add(instance, copy)
            if held:
                assets.held += range(count, len(assets.instances))
    return assets


def read_matrices(objects: Any) -> np.ndarray:
    """matrix_world (N, 4, 4) float64 of a collection of objects, all at once."""
    values: np.ndarray = np.empty((len(objects), 16), np.float32)
    objects.foreach_get("matrix_world", values.ravel())
    return values.reshape(-1, 4, 4).transpose(0, 2, 1).astype(np.float64)  # Blender stores columns


def read_bounds(ob: Any, matrix: np.ndarray) -> np.ndarray:
    """The corners (8, 3) of ob, evaluated, as it stands at matrix (4, 4)."""
    return np.array(ob.bound_box, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def find_key(instance: Any) -> tuple:
    """What an instance of a depsgraph goes by, whatever the frame."""
    return (instance.object.original.name_full, instance.parent and instance.parent.original.name_full,
            tuple(instance.persistent_id) if instance.is_instance else ())


def _reader(mesh: Any, name: str) -> Callable[[], dict]:
    # read now: the worker may ask from another thread, after the mesh is gone
    held = payload.share_bytes(mesh)
    return lambda: {"kind": "asset", "data": held.data, "name": f"The asset of {name}"}


def convert_camera(data: Any, matrix_world: np.ndarray, width: int, height: int,
                   aspect: tuple[float, float] = (1.0, 1.0), shift_x: float | None = None) -> cameras.Camera:
    """A Blender camera as arrays.

    matrix_world: (4, 4) camera to world; scale is dropped as Blender does. width, height: pixels of the whole frame.
    aspect: pixel aspect x, y. shift_x: instead of the camera's own (stereo views). Raises NearError for panoramas.
    """
    if data.type not in ("PERSP", "ORTHO"):
        kind = data.bl_rna.properties["type"].enum_items[data.type].name
        raise errors.NearError("NeAR cannot draw the {kind} camera {name}.",
                               "Set its lens type to Perspective or Orthographic.", kind=kind, name=data.name)
    fit, sensor = data.sensor_fit, data.sensor_width
    if fit == "AUTO":
        fit = "HORIZONTAL" if width * aspect[0] >= height * aspect[1] else "VERTICAL"
    elif fit == "VERTICAL":
        sensor = data.sensor_height
    tall = aspect[1] / aspect[0]  # height of a pixel in widths
    span = width if fit == "HORIZONTAL" else height * tall  # pixel widths that the sensor covers; shifts count in it
    focal = span / data.ortho_scale if data.type == "ORTHO" else data.lens * span / sensor
    shift_x = data.shift_x if shift_x is None else shift_x
    intrinsics = np.array([[focal, 0, width / 2 - shift_x * span],
                           [0, focal / tall, height / 2 + data.shift_y * span / tall],
                           [0, 0, 1]])
    return cameras.from_matrix_world(matrix_world, intrinsics, width, height, orthographic=data.type == "ORTHO",
                                     near=data.clip_start, far=data.clip_end)


def convert_projection(window_matrix: np.ndarray, view_matrix: np.ndarray, width: int, height: int) -> cameras.Camera:
    """The camera of a viewport from its OpenGL projection and world-to-view matrices, (4, 4) each."""
    p, flip = np.asarray(window_matrix, np.float64), np.diag([1.0, -1.0, -1.0, 1.0])
    orthographic = p[3, 3] == 1
    middle = p[:2, 3] if orthographic else -p[:2, 2]
    intrinsics = np.array([[p[0, 0] * width / 2, 0, (1 + middle[0]) * width / 2],
                           [0, p[1, 1] * height / 2, (1 - middle[1]) * height / 2],
                           [0, 0, 1]])
    world_to_camera = flip @ np.asarray(view_matrix, np.float64)
    if not orthographic:
        near, far = p[2, 3] / (p[2, 2] - 1), p[2, 3] / min(p[2, 2] + 1, -1e-12)  # 32 bits may say that it is endless
        return cameras.Camera(world_to_camera, intrinsics, width, height, near=near, far=far)
    near, far = (p[2, 3] + 1) / p[2, 2], (p[2, 3] - 1) / p[2, 2]
    world_to_camera[2, 3] -= near  # a viewport also shows what lies behind its eye; near_core's cameras do not
    return cameras.Camera(world_to_camera, intrinsics, width, height, orthographic=True, near=0.0, far=far - near)


def find_camera(engine: bpy.types.RenderEngine, depsgraph: bpy.types.Depsgraph, view: str = "") -> cameras.Camera:
    """The camera of a final render, cropped to the render border. view: name of the stereo view, active in engine.

    Raises NearError where there is none that NeAR can draw.
    """
    render: Any = depsgraph.scene_eval.render
    ob = find_camera_object(engine, depsgraph, view)
    width, height = engine.resolution_x, engine.resolution_y
    camera = convert_camera(ob.data, np.array(engine.camera_model_matrix(ob)), width, height,
                            (render.pixel_aspect_x, render.pixel_aspect_y), engine.camera_shift_x(ob))
    border = find_border(render, width, height)
    if border is not None:
        left, top, right, bottom = border
        camera = camera.crop(left, top, right - left, bottom - top)
    return camera


def find_border(render: Any, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the render border in pixels from the top left corner; None where there is none."""
    if not render.use_border:
        return None
    left, bottom, right, top = (
        int(np.float32(getattr(render, f"border_{edge}")) * np.float32(size))  # as Blender, which has floats
        for edge, size in (("min_x", width), ("min_y", height), ("max_x", width), ("max_y", height)))
    return left, height - top, right, height - bottom


def find_camera_object(engine: bpy.types.RenderEngine, depsgraph: bpy.types.Depsgraph, view: str = "") -> Any:
    """The evaluated object that find_camera's camera is. Raises NearError where it is none."""
    frame: Any = depsgraph.scene_eval
    ob = engine.camera_override or frame.camera
    if ob is None:
        raise errors.NearError("The scene has no camera.", "Add one with Add > Camera.")
    ob = _camera_of_view(ob, frame.render, view).evaluated_get(depsgraph)
    if ob.type != "CAMERA":
        raise errors.NearError("{name} is not a camera.", "Choose a camera in the Scene properties.", name=ob.name)
    return ob


def _camera_of_view(ob: bpy.types.Object, render: bpy.types.RenderSettings, view: str) -> bpy.types.Object:
    """Views in Multi-View format have cameras of their own: same name, another suffix."""
    if not render.use_multiview or render.views_format != "MULTIVIEW" or view not in render.views:
        return ob
    own = next((v.camera_suffix for v in render.views if v.camera_suffix and ob.name.endswith(v.camera_suffix)), "")
    name = ob.name[:len(ob.name) - len(own)] + render.views[view].camera_suffix
    return bpy.data.objects.get(name, ob)


def find_filter_width(frame: Any) -> float:
    """The pixels that Cycles, which draws what is ordinary, takes the scene's filter to be wide."""
    own = getattr(frame, "cycles", None)
    return float(frame.render.filter_size if own is None else own.filter_width)


def find_exposure(frame: Any) -> float:
    """What Cycles, which draws what is ordinary, multiplies the light by that the scene's film sees."""
    return float(getattr(getattr(frame, "cycles", None), "film_exposure", 1.0))


def count_bounces(frame: Any) -> dict[str, int]:
    """How often light goes on where Cycles, which draws what is ordinary, has limits of its own: fields of
    scene.Settings."""
    own = getattr(frame, "cycles", None)
    kinds = ("diffuse_bounces", "glossy_bounces")
    return {} if own is None else {kind: min(own.max_bounces, getattr(own, kind)) for kind in kinds}


def make_request(frame: Any, assets: VisibleAssets, light: WorldLight, passes: tuple[str, ...],
                 seen: bool, lamps: VisibleLamps = VisibleLamps(), occluders: scene.Occluders | None = None
                 ) -> tuple[scene.Settings, dict[str, Any]]:
    """How the scene `frame` wants its pictures computed, and the fields of a render request but the camera.

    seen: whether the World shows behind the assets. lamps: light them. occluders: cast shadows on them.
    """
    needs = dict(assets.needs)
    own_backdrop = light.backdrop is not None and (seen or "Environment" in passes)
    settings = scene.Settings(quality=flags.choose_quality(frame), shading=frame.near.shading.lower().replace("_", "-"),
                              background=seen, passes=passes,
                              threads=flags.choose_threads(frame), filter_width=find_filter_width(frame),
                              group=light.group, **count_bounces(frame))

    def send(sky: environment.Environment) -> dict[str, Any]:
        needs[sky.hash] = lambda: {"kind": "map", "data": sky.map, "name": "The World"}
        return {"map": sky.hash, "world_to_map": sky.world_to_map, "strength": float(sky.strength),
                "diffuse": sky.diffuse, "glossy": sky.glossy}

    lamps = lamps.dim(light.fog, np.array([each["matrix"][:3, 3] for each in assets.instances]))
    if occluders is not None:
        needs[occluders.hash] = lambda: {"kind": "occluders", "data": occluders, "name": "What stands around"}
    instances = [each | {"unlit_by": list(range(len(lamps.lamps))) if number in assets.held else lamps.list_unlit(
        each["name"], number)} for number, each in enumerate(assets.instances)]
    return settings, {"instances": instances, "environment": send(light.environment),
                      "backdrop": send(light.backdrop) if own_backdrop else None, "needs": needs,
                      "lamps": lamps.lamps, "occluders": None if occluders is None else occluders.hash}


def summarize(settings: scene.Settings, request: dict[str, Any]) -> Any:
    """What a picture depends on but its camera, to be compared with ==; None of so many instances that comparing takes
    as long as drawing. settings, request: as make_request has them."""
    if len(request["instances"]) > MOST_COMPARED:
        return None
    return _freeze(settings), _freeze({name: value for name, value in request.items() if name != "needs"})


def _freeze(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.shape, hash(value.tobytes())
    if isinstance(value, dict):
        return tuple((name, _freeze(each)) for name, each in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_freeze, value))
    if is_dataclass(value):
        return tuple(_freeze(getattr(value, each.name)) for each in fields(value))
    return value
