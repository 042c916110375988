"""Which camera a viewport looks through, and which part of it its render border leaves."""

from __future__ import annotations

from typing import Any

import numpy as np


def find_camera(context: Any, depsgraph: Any) -> Any:
    """The evaluated object that a viewport looks through, the scene's camera or its local one; None in other views."""
    if context.region_data.view_perspective != "CAMERA":
        return None
    space = context.space_data
    if space is None or not space.use_local_camera or space.camera is None:
        return depsgraph.scene_eval.camera
    return space.camera.evaluated_get(depsgraph)


def find_box(context: Any, depsgraph: Any) -> tuple[int, int, int, int] | None:
    """Left, bottom, width and height in pixels of the region; None where all of it is drawn. The scene's border counts
    in views through a camera, while another view has one of its own."""
    space, region, window, frame = context.space_data, context.region, context.region_data, depsgraph.scene_eval
    if space is None:
        return None
    size = np.array([region.width, region.height])
    low, high = np.zeros(2), size.astype(float)
    if window.view_perspective == "CAMERA":
        camera = find_camera(context, depsgraph)
        if not frame.render.use_border or camera is None or camera.type != "CAMERA":
            return None
        owner: Any = frame.render
        low, high = _find_frame(camera, frame, window, size)
    elif space.use_render_border:
        owner = space
    else:
        return None
    prefix = "render_border" if owner is space else "border"
    first, last = (np.array([getattr(owner, f"{prefix}_{end}_{axis}") for axis in "xy"]) for end in ("min", "max"))
    left, bottom = np.round(np.clip(low + first * (high - low), 0, size)).astype(int).tolist()
    right, top = np.round(np.clip(low + last * (high - low), 0, size)).astype(int).tolist()
    return left, bottom, max(right - left, 0), max(top - bottom, 0)


def _find_frame(camera: Any, frame: Any, window: Any, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower left and upper right corner (2,) of what the camera sees, in pixels of the region."""
    to_clip = np.array(window.window_matrix) @ np.array(window.view_matrix) @ np.array(camera.matrix_world.normalized())
    corners = np.array([[*corner, 1] for corner in camera.data.view_frame(scene=frame)]) @ to_clip.T
    places = (corners[:, :2] / corners[:, 3:] + 1) / 2 * size
    return places.min(0), places.max(0)
