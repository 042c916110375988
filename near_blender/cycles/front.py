"""Assets as holes: copies of their proxies in the second Blender, a little larger, that only the camera sees; and
squares where nobody need look past them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ..asset.proxy import take_shear
from . import motion as cycles_motion

_UNSEEN = ("visible_diffuse", "visible_glossy", "visible_transmission", "visible_volume_scatter", "visible_shadow")


class Holes:
    """The holes of one scene; their meshes are kept for the next picture."""

    def __init__(self, scene: Any, find_mesh: Callable[[Any], Any]):
        """find_mesh: of a proxy, as the artist has it."""
        self._scene, self._find_mesh = scene, find_mesh
        self._meshes: dict[tuple[str, float, float], Any] = {}
        self._objects: list[Any] = []
        self._screens: Any = None  # their mesh

    def cut(self, instances: Iterable[dict[str, Any]], pixel: np.ndarray, pixels: float, time: float,
            shutter: float) -> None:
        """Adds a hole per instance, larger than its proxy by `pixels`.

        instances: dicts of name, the proxy's name_full, and matrix (4, 4), its mesh to the world, or (T, 4, 4), one for
        each time while a shutter is open for `shutter` frames around `time`. pixel: (4,), the plane whose value at a
        place of the world is the size of a pixel there.
        """
        known = {ob.name_full: ob for ob in bpy.data.objects}
        for instance in instances:
            proxy: Any = known.get(instance["name"])
            places = np.asarray(instance["matrix"], np.float64).reshape(-1, 4, 4)
            matrix = places[len(places) // 2]
            scale = float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))
            if proxy is None or proxy.type != "MESH" or not np.isfinite(matrix).all() or scale < 1e-9:
                continue
            size = max(float(pixel @ matrix[:, 3]), 1e-9) * pixels / scale
            ob = self._place(self._inflate(proxy, size), Matrix(matrix.tolist()))
            if np.ptp(places, 0).max() > 0:
                cycles_motion.animate(ob, places, time, shutter)

    def screen(self, squares: np.ndarray) -> None:
        """Adds one hole of squares (N, 4, 3) in the world."""
        if len(squares):
            mesh = bpy.data.meshes.new("NeAR screens")
            mesh.from_pydata(squares.reshape(-1, 3), [], np.arange(4 * len(squares)).reshape(-1, 4))
            self._screens = mesh
            self._add(mesh)

    def _place(self, mesh: Any, matrix: Matrix) -> Any:
        """Adds a hole where a matrix puts it; gives what moves it, a parent where that shears, which no object does."""
        ob = mover = self._add(mesh)
        straight, sheared = take_shear(matrix)
        if not np.allclose(sheared, np.eye(4), rtol=0, atol=1e-4):
            ob.parent = mover = self._add(None)
            ob.matrix_parent_inverse = Matrix(sheared.tolist())
        mover.matrix_world = straight
        return mover

    def _add(self, mesh: Any) -> Any:
        ob: Any = bpy.data.objects.new("NeAR hole", mesh)
        ob.is_holdout = True
        for name in _UNSEEN:
            setattr(ob, name, False)
        self._scene.collection.objects.link(ob)
        self._objects.append(ob)
        return ob

    def close(self) -> None:
        """Takes the holes away."""
        for ob in self._objects:
            with contextlib.suppress(ReferenceError):  # beside particle systems Blender may have freed it
                cycles_motion.stop(ob)
                bpy.data.objects.remove(ob)
        self._objects = []
        if self._screens is not None:
            bpy.data.meshes.remove(self._screens)
            self._screens = None

    def _inflate(self, proxy: Any, size: float) -> Any:
        """The proxy's mesh in this frame, each vertex moved along its normal by about `size`; near sizes share one."""
        size, bends = 2.0 ** float(np.ceil(2 * np.log2(size)) / 2), proxy.modifiers or proxy.data.shape_keys
        time = self._scene.frame_float if bends else 0.0
        key = (proxy.name_full, size, time)
        if key not in self._meshes:
            mesh = self._evaluate(proxy, time)
            mesh.use_fake_user = True
            mesh.materials.clear()  # they would let through what is behind, and fill passes of their own
            points, normals = np.empty((2, 3 * len(mesh.vertices)), np.float32)
            mesh.vertices.foreach_get("co", points)
            mesh.vertex_normals.foreach_get("vector", normals)
            mesh.vertices.foreach_set("co", points + np.float32(size) * normals)
            mesh.update()
            self._meshes[key] = mesh
        return self._meshes[key]

    def _evaluate(self, proxy: Any, time: float) -> Any:
        """A mesh as a proxy's modifiers and shape keys leave it; as it is where they leave instances alone. time: as
        this frame's meshes of the proxy are kept."""
        for key in [key for key in self._meshes if key[0] == proxy.name_full and key[2] != time]:
            bpy.data.meshes.remove(self._meshes.pop(key))  # of another frame
        own = self._find_mesh(proxy)
        if own != proxy.data and not (proxy.modifiers or own.shape_keys):
            return own.copy()
        evaluated = proxy.evaluated_get(self._scene.view_layers[0].depsgraph)
        if not len(evaluated.data.vertices):
            return proxy.data.copy()
        return bpy.data.meshes.new_from_object(evaluated)


def measure_pixel(camera: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """The plane (4,) whose value at a place of the world is the size of a pixel there, in metres."""
    lens, matrix = camera["lens"], np.asarray(camera["matrix"], np.float64)
    width, height = size
    tall = lens["sensor_fit"] == "VERTICAL" or (lens["sensor_fit"] == "AUTO" and height > width)
    span = height if tall else width
    if lens["type"] == "ORTHO":
        return np.array([0, 0, 0, lens["ortho_scale"] / span])
    sensor = lens["sensor_height"] if lens["sensor_fit"] == "VERTICAL" else lens["sensor_width"]
    forward = -matrix[:3, 2] / max(float(np.linalg.norm(matrix[:3, 2])), 1e-12)
    return np.append(forward, -forward @ matrix[:3, 3]) * sensor / (lens["lens"] * span)
