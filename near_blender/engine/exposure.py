"""What blurs a final picture: the shutter, for as long as the scene says, and the camera's lens."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np

from .._core import camera as cameras
from .._core import deformation, scene
from ..cycles import scene as cycles_scene
from ..scene import movement, sync

KEYS = 3  # times at which Blender is asked where things are, as Cycles does it: opening, middle, closing


@dataclass(frozen=True, eq=False)
class Motion:
    """Where things are at KEYS times, from the shutter's opening to its closing. cameras, places: by view, KEYS each,
    the latter (4, 4) camera to world. matrices: (KEYS, I, 4, 4), of the assets' instances. standing: the same of their
    objects. openness: as scene.Shutter has it. shutter: frames that it is open. bends: of instances that are bent, as
    movement.trace has them."""

    cameras: dict[str, list[cameras.Camera]]
    places: dict[str, list[np.ndarray]]
    matrices: np.ndarray
    standing: np.ndarray
    openness: tuple[float, ...]
    shutter: float
    bends: dict[int, list[np.ndarray]] = field(default_factory=dict)

    def make_shutter(self, view: str) -> scene.Shutter:
        """For near_core, of a stereo view."""
        return scene.Shutter(self.cameras[view], self.matrices, self.openness)

    def describe(self, view: str) -> dict[str, Any]:
        """For the second Blender: the shutter and the camera's places, (KEYS, 4, 4)."""
        return {"shutter": self.shutter, "openness": list(self.openness), "places": np.array(self.places[view])}


def find_middle(frame: Any, layer: Any) -> float | None:
    """The middle of the exposure, frames; None where the scene `frame` or the view layer wants no motion blur."""
    render = frame.render
    if not (render.use_motion_blur and layer.use_motion_blur) or render.motion_blur_shutter <= 0:
        return None
    now, half = frame.frame_current + frame.frame_subframe, render.motion_blur_shutter / 2
    position = getattr(render, "motion_blur_position", "") or getattr(
        getattr(frame, "cycles", None), "motion_blur_position", "CENTER")
    return now + {"START": half, "END": -half}.get(position, 0)


@contextlib.contextmanager
def in_the_middle(engine: bpy.types.RenderEngine, depsgraph: bpy.types.Depsgraph) -> Iterator[float | None]:
    """Meanwhile the scene is where it is in the middle of the exposure; gives that time, as find_middle."""
    frame: Any = depsgraph.scene_eval
    now, middle = frame.frame_current + frame.frame_subframe, find_middle(frame, depsgraph.view_layer_eval)
    if middle is None:
        yield None
        return
    if middle != now:
        go_to(engine, middle)
    try:
        yield middle
    finally:
        go_to(engine, now)


def go_to(engine: bpy.types.RenderEngine, time: float) -> None:
    """Has Blender evaluate the scene at a time, frames."""
    engine.frame_set(math.floor(time), subframe=time - math.floor(time))


def read_motion(engine: bpy.types.RenderEngine, depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets,
                middle: float | None, views: list[str]) -> Motion | None:
    """What moves during the exposure around `middle`, where the scene is when this returns."""
    if middle is None:
        return None
    render = depsgraph.scene_eval.render
    curve = render.motion_blur_shutter_curve
    curve.initialize()
    openness = tuple(float(curve.evaluate(curve.curves[0], x)) for x in np.linspace(0, 1, 17))
    return _look_at_keys(engine, depsgraph, assets, middle, render.motion_blur_shutter, openness, views, blurs=True)


def read_steps(engine: bpy.types.RenderEngine, depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets,
               views: list[str]) -> Motion:
    """Where things are a frame before, now and a frame after."""
    frame = depsgraph.scene_eval
    return _look_at_keys(engine, depsgraph, assets, frame.frame_current + frame.frame_subframe, 2.0, (1.0, 1.0), views)


def _look_at_keys(engine: bpy.types.RenderEngine, depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets,
                  middle: float, shutter: float, openness: tuple[float, ...], views: list[str], blurs: bool = False
                  ) -> Motion:
    """blurs: what may not blur stands still."""
    seen: dict[str, list] = {view: [] for view in views}
    places: dict[str, list] = {view: [] for view in views}
    poses = []
    for time in np.linspace(-0.5, 0.5, KEYS):
        go_to(engine, middle + shutter * float(time))
        poses.append(movement.find_poses(depsgraph, assets, blurs))
        for view in views:
            engine.active_view_set(view)
            seen[view].append(sync.find_camera(engine, depsgraph, view))
            places[view].append(np.array(engine.camera_model_matrix(sync.find_camera_object(engine, depsgraph, view))))
    go_to(engine, middle)
    for view in views:
        if blurs and not movement.may_blur(sync.find_camera_object(engine, depsgraph, view)):
            seen[view], places[view] = ([each[view][KEYS // 2]] * KEYS for each in (seen, places))
    stood = np.array([[pose.standing for pose in each] for each in poses], np.float64).reshape(KEYS, -1, 4, 4)
    matrices, bends = movement.trace(poses, KEYS // 2)
    return Motion(seen, places, matrices, stood, openness, shutter, bends)


def make_vectors(made: dict[str, np.ndarray], camera: cameras.Camera, steps: Motion | None, view: str
                 ) -> dict[str, np.ndarray]:
    """The pass Vector: how far what a pixel shows of the assets moves, (H, W, 4) float32 pixels, right and up, in
    Blender's layout: to where it was a frame before, and from where it will be a frame after; 0 where no asset is.
    Source: Cycles, primitive_motion_vector.

    made: passes with Depth and scene.INSTANCES; all is 0 without, as the published model does not tell those apart.
    steps: of read_steps; None where there is no such pass.
    """
    if steps is None:
        return {}
    vectors = np.zeros((camera.height, camera.width, 4), np.float32)
    if scene.INSTANCES not in made:
        return {"Vector": vectors}
    number, depth = made[scene.INSTANCES][..., 0].astype(int), made["Depth"][..., 0]
    rows, columns = np.nonzero((number > 0) & (depth > 0))
    at = np.stack([columns + 0.5, rows + 0.5], 1)
    chosen = number[rows, columns] - 1
    world = np.column_stack([camera.lift(at, depth[rows, columns]), np.ones(len(at))])
    for time, part, sign in ((0, slice(0, 2), 1), (2, slice(2, 4), -1)):
        seen = steps.cameras[view][time]
        x, y, z = (_carry(world, chosen, steps, time) @ seen.world_to_camera.T)[:, :3].T
        z = np.ones_like(z) if seen.orthographic else np.maximum(z, 1e-6)
        there = np.stack([x / z, y / z], 1) * np.diag(seen.intrinsics)[:2] + seen.intrinsics[:2, 2]
        vectors[rows, columns, part] = sign * (there - at) * (1, -1)
    return {"Vector": vectors}


def _carry(points: np.ndarray, chosen: np.ndarray, steps: Motion, time: int) -> np.ndarray:
    """Points (P, 4) of instances with the numbers chosen (P,), world, where they are at another of the KEYS times."""
    now = steps.matrices[KEYS // 2]
    there = np.einsum("pij,pj->pi", (steps.matrices[time] @ np.linalg.inv(now))[chosen], points)
    for number, places in steps.bends.items():
        own = np.flatnonzero(chosen == number)
        if len(own):
            there[own, :3] = deformation.carry(points[own, :3], places[KEYS // 2], places[time])
    return there


def make_blur(ob: Any, motion: Motion | None, view: str) -> dict[str, Any]:
    """The fields of a render request that blur it. ob: the camera's object, evaluated."""
    lens = read_lens(ob)
    return ({} if motion is None else {"shutter": motion.make_shutter(view)}) | ({} if lens is None else {"lens": lens})


def read_lens(ob: Any) -> scene.Lens | None:
    """The lens of a camera object, evaluated; None where everything is in focus."""
    data = ob.data
    if not data.dof.use_dof:
        return None
    focus = cycles_scene.describe_camera_object(ob)["focus"]
    radius = (1.0 if data.type == "ORTHO" else 1e-3 * data.lens) / (2 * max(focus["aperture_fstop"], 1e-3))
    return scene.Lens(radius, max(focus["focus_distance"], 1e-3), focus["aperture_blades"],
                      focus["aperture_rotation"], focus["aperture_ratio"])
