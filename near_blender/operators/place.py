"""Putting an asset into the scene, and what every operator says when something is wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from .. import compositing, log, payload, proxy, translations
from .._core import asset as assets
from .._core import errors, proxy_mesh, thumbnail


class AssetReading:
    """An asset, read on a thread of its own with its proxy worked out: Blender goes on meanwhile."""

    def __init__(self, read: Callable[[], tuple[bytes, assets.NeuralAsset]]) -> None:
        """read: gives the bytes of a .near file and the asset that they are."""
        self._give = read
        self._answer: tuple[bytes, assets.NeuralAsset, proxy_mesh.ProxyMesh] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="NeAR asset", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            data, asset = self._give()
            self._answer = data, asset, proxy_mesh.build(asset)
        except BaseException as error:
            self._error = error

    @property
    def done(self) -> bool:
        """Whether result() would not wait."""
        return not self._thread.is_alive()

    def result(self) -> tuple[bytes, assets.NeuralAsset, proxy_mesh.ProxyMesh]:
        """The bytes of the .near file, the asset and its proxy's surface. Raises what read() did."""
        self._thread.join()
        if self._answer is None:
            assert self._error is not None
            raise self._error
        return self._answer


def place_asset(context: bpy.types.Context, asset: assets.NeuralAsset, data: bytes,
                surface: proxy_mesh.ProxyMesh | None = None) -> bpy.types.Object:
    """An object for the asset at the 3D cursor, alone selected and active; data: the bytes of its .near file. surface:
    of its proxy, where it was worked out before."""
    ob = proxy.build(asset, asset.name or "Neural Asset", surface)
    payload.attach(ob, data, asset.name)
    collection = context.collection if context.collection.is_editable else context.scene.collection
    collection.objects.link(ob)
    compositing.include(context.scene, ob)
    ob.location = context.scene.cursor.location
    for other in context.selected_objects:
        other.select_set(False)
    ob.select_set(True)
    context.view_layer.objects.active = ob
    return ob


# what places an object, in the order in which it has to be set
_PLACE = ("rotation_mode", "parent", "parent_type", "parent_bone", "parent_vertices", "matrix_parent_inverse",
          "location", "rotation_euler", "rotation_quaternion", "rotation_axis_angle", "scale", "delta_location",
          "delta_rotation_euler", "delta_rotation_quaternion", "delta_scale")


@dataclass(frozen=True)
class MeshSource:
    """The object whose mesh an asset is made from. name: of it. local: (4, 4) float64, asset in metres -> object.
    width: metres along X that it takes. beside: whether the asset goes there."""

    name: str
    local: np.ndarray
    width: float
    beside: bool

    @classmethod
    def of(cls, name: str, bounds: tuple[np.ndarray, np.ndarray], matrix: np.ndarray, beside: bool) -> MeshSource:
        """name: of the object. bounds, matrix: as geometry.ObjectSurface has them."""
        low, high = bounds
        centred = np.eye(4)
        centred[:3, 3] = (low + high) / 2
        local = centred
        if abs(np.linalg.det(matrix[:3, :3])) > 1e-12:
            turn = np.eye(4)
            turn[:3, :3] = matrix[:3, :3]
            local = np.linalg.inv(turn) @ centred
        return cls(name, local, float(high[0] - low[0]), beside)


def stand_for(context: bpy.types.Context, ob: bpy.types.Object, source: MeshSource) -> None:
    """Has an asset's new object stand where its source does, with the same origin, rotation, scale, parent and
    collections, and the source hidden; or beside it, where that is asked for."""
    other: Any = context.scene.objects.get(source.name)
    if other is None:
        return
    ob.data.transform(Matrix(source.local.tolist()))
    for name in _PLACE:
        setattr(ob, name, getattr(other, name))
    _move_to(ob, [each for each in other.users_collection if each.is_editable])
    context.view_layer.update()
    if ob.name not in context.view_layer.objects:  # the source's collections are excluded
        context.scene.collection.objects.link(ob)
        context.view_layer.update()
    ob.select_set(True)
    context.view_layer.objects.active = ob
    context.view_layer.update()
    ob.matrix_world = Matrix.Translation((1.2 * source.width * source.beside, 0, 0)) @ other.matrix_world
    if source.beside:
        return
    other.hide_render = True
    if other.name in context.view_layer.objects:
        other.hide_set(True)


def _move_to(ob: bpy.types.Object, homes: list[bpy.types.Collection]) -> None:
    before = list(ob.users_collection)
    for collection in homes:
        if collection not in before:
            collection.objects.link(ob)
    for collection in before:
        if homes and collection not in homes:
            collection.objects.unlink(ob)


def replace_asset(ob: bpy.types.Object, asset: assets.NeuralAsset, data: bytes,
                  surface: proxy_mesh.ProxyMesh | None = None) -> bpy.types.Object:
    """Another asset for an object that stands for one; it keeps its place and name, not changes of its mesh."""
    made = proxy.build(asset, ob.name, surface)
    before: Any = ob.data
    ob.data = made.data
    payload.attach(ob, data, asset.name)
    bpy.data.objects.remove(made)
    if before is not None and not before.users:
        bpy.data.meshes.remove(before)
    proxy.set_preview(ob, thumbnail.draw(asset))
    return ob


@contextmanager
def report_errors(operator: bpy.types.Operator, kind: Any = "ERROR") -> Iterator[None]:
    """Reports a NearError, or a bug of ours, as Blender does; from Python an ERROR arrives as RuntimeError."""
    try:
        yield
    except errors.NearError as error:
        log.add(str(error))
        operator.report({kind}, translations.explain(error))
    except errors.Cancelled:
        raise
    except Exception as error:
        operator.report({kind}, translations.explain(log.explain_bug(error)))


def is_asset_active(operator: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For polls: whether the active object is a neural asset; says so where it is not."""
    if context.object is None or payload.find_payload(context.object) is None:
        operator.poll_message_set("The active object is no neural asset")
        return False
    return True


def is_object_mode(operator: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For poll(): assets are added in Object Mode."""
    if context.mode == "OBJECT":
        return True
    operator.poll_message_set("Neural assets are added in Object Mode")
    return False
