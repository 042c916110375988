"""Putting an asset into the scene, and what every operator says when something is wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from .. import log, translations
from .._core import asset as assets
from .._core import errors, proxy_mesh, thumbnail
from ..asset import payload, proxy
from ..engine import compositing
from ..references import Reference
from .inheritance import inherit_moves, inherit_settings


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


@contextmanager
def in_scene(context: bpy.types.Context, asked_in: Reference) -> Iterator[None]:
    """Meanwhile context has the scene in which something was asked for, whichever one the window shows now; where that
    is gone, this one."""
    scene = asked_in.find()
    if scene is None or scene == context.scene:
        yield
        return
    with context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
        yield


def place_asset(context: bpy.types.Context, asset: assets.NeuralAsset, data: bytes,
                surface: proxy_mesh.ProxyMesh | None = None) -> bpy.types.Object:
    """An object for the asset at the 3D cursor, chosen; data: the bytes of its .near file. surface: of its proxy, where
    it was worked out before."""
    ob = proxy.build(asset, asset.name or "Neural Asset", surface)
    payload.attach(ob, data, asset.name)
    collection = context.collection if context.collection.is_editable else context.scene.collection
    collection.objects.link(ob)
    compositing.include(context.scene, ob)
    ob.location = context.scene.cursor.location
    choose(context, ob)
    return ob


def choose(context: bpy.types.Context, ob: bpy.types.Object) -> None:
    """Has ob alone be selected and active; not while an artist edits, sculpts or paints another object."""
    layer: Any = context.view_layer
    if layer.objects.active is not None and layer.objects.active.mode != "OBJECT":
        return
    for other in list(layer.objects.selected):
        other.select_set(False, view_layer=layer)
    if ob.name in layer.objects:  # not where its collection is excluded
        ob.select_set(True, view_layer=layer)
        layer.objects.active = ob


def read_choice(context: bpy.types.Context) -> tuple[int, frozenset[int]]:
    """What is active, 0 for nothing, and what is selected, by what Blender knows objects by in this session."""
    layer: Any = context.view_layer
    active = layer.objects.active
    return active.session_uid if active else 0, frozenset(ob.session_uid for ob in layer.objects.selected)


def restore_choice(context: bpy.types.Context, choice: tuple[int, frozenset[int]]) -> None:
    """Has what was chosen be so again, as far as it is there and visible."""
    layer: Any = context.view_layer
    for ob in layer.objects:
        ob.select_set(ob.session_uid in choice[1] and ob.visible_get(view_layer=layer), view_layer=layer)
    layer.objects.active = next((ob for ob in layer.objects if ob.session_uid == choice[0]), None)


# what places an object, in the order in which it has to be set
_PLACE = ("rotation_mode", "parent", "parent_type", "parent_bone", "parent_vertices", "matrix_parent_inverse",
          "location", "rotation_euler", "rotation_quaternion", "rotation_axis_angle", "scale", "delta_location",
          "delta_rotation_euler", "delta_rotation_quaternion", "delta_scale")


@dataclass(frozen=True)
class MeshSource:
    """The object whose mesh an asset is made from. local: (4, 4) float64, asset in metres -> object. width: metres
    along X that it takes. matrix: (4, 4) float64, where it stood. beside: whether the asset goes there."""

    ob: Reference
    local: np.ndarray
    width: float
    matrix: np.ndarray
    beside: bool

    @classmethod
    def of(cls, ob: Reference, job: Any, beside: bool) -> MeshSource:
        """job: surface_jobs.SurfaceJob, done."""
        (low, high), matrix = job.surface.bounds, job.surface.matrix
        centred = np.eye(4)
        centred[:3, 3] = (low + high) / 2
        local = centred
        if abs(np.linalg.det(matrix[:3, :3])) > 1e-12:
            turn = np.eye(4)
            turn[:3, :3] = matrix[:3, :3]
            local = np.linalg.inv(turn) @ centred
        return cls(ob, local, float(high[0] - low[0]), matrix, beside)


def stand_for(context: bpy.types.Context, ob: bpy.types.Object, source: MeshSource) -> None:
    """Has an asset's new object stand where its source does, with the same origin, rotation, scale, parent, settings
    and collections, moved by what moves that, and the source hidden; or beside it, where that is asked for; or where it
    was, if it is gone."""
    other, layer = source.ob.find(), context.view_layer
    ob.data.transform(Matrix(source.local.tolist()))
    aside = Matrix.Translation((1.2 * source.width * source.beside, 0, 0))
    if other is None:
        ob.matrix_world = aside @ Matrix(source.matrix.tolist())
        return
    for name in _PLACE:
        setattr(ob, name, getattr(other, name))
    inherit_settings(ob, other)
    _move_to(ob, [each for each in other.users_collection if each.is_editable])
    layer.update()
    if ob.name not in layer.objects:  # the source's collections are excluded
        context.scene.collection.objects.link(ob)
        layer.update()
    choose(context, ob)
    layer.update()
    if source.beside:
        ob.matrix_world = aside @ other.matrix_world
        return
    inherit_moves(ob, other)
    layer.update()
    here, there = (np.array(each.matrix_world) for each in (ob, other))
    if not np.allclose(here, there, rtol=1e-4, atol=1e-6):  # a vertex of its parent or physics moved that
        ob.matrix_world = other.matrix_world
    other.hide_render = True
    if other.name in layer.objects and other.mode == "OBJECT":
        other.hide_set(True, view_layer=layer)


def keep_family(context: bpy.types.Context, made: Sequence[tuple[Reference, Reference | None]]) -> None:
    """Has assets' new objects whose sources are children of another's source be children of the other. They stay where
    they are. made: each with its source."""
    heirs = {source.uid: ob.find() for ob, source in made if source is not None}
    context.view_layer.update()
    for ob in heirs.values():
        # an asset has not the vertices of its source
        heir = heirs.get(ob.parent.session_uid) if ob and ob.parent and ob.parent_type == "OBJECT" else None
        if heir is not None:
            place = ob.matrix_world.copy()
            ob.parent = heir
            ob.matrix_world = place


def _move_to(ob: bpy.types.Object, homes: list[bpy.types.Collection]) -> None:
    before = list(ob.users_collection)
    for collection in homes:
        if collection not in before:
            collection.objects.link(ob)
    for collection in before:
        if homes and collection not in homes:
            collection.objects.unlink(ob)


def list_linked(ob: bpy.types.Object) -> list[bpy.types.Object]:
    """An asset's object and its linked duplicates: those that share its mesh and what it stands for."""
    shared = ob.data, payload.find_payload(ob)
    return [each for each in bpy.data.objects
            if (each.data, payload.find_payload(each)) == shared and each.is_editable]


def replace_asset(ob: bpy.types.Object, asset: assets.NeuralAsset, data: bytes,
                  surface: proxy_mesh.ProxyMesh | None = None) -> bpy.types.Object:
    """Another asset for an object that stands for one, and for its linked duplicates; they keep place and name, not
    changes of their mesh."""
    made = proxy.build(asset, ob.name, surface)
    before: Any = ob.data
    for each in list_linked(ob):
        each.data = made.data
        payload.attach(each, data, asset.name)
    bpy.data.objects.remove(made)
    if before is not None and not before.users:
        bpy.data.meshes.remove(before)
    proxy.set_preview(ob, thumbnail.draw(asset))
    return ob


@contextmanager
def report_errors(operator: bpy.types.Operator, kind: Any = "ERROR", name: str = "") -> Iterator[None]:
    """Reports a NearError, or a bug of ours, as Blender does; from Python an ERROR arrives as RuntimeError. name: of
    what failed, where that is one of several."""
    try:
        yield
        return
    except errors.NearError as error:
        log.add(str(error))
        told = translations.explain(error)
    except errors.Cancelled:
        raise
    except Exception as error:
        told = translations.explain(log.explain_bug(error))
    operator.report({kind}, told if name in told else f"{name}: {told}")


def is_asset_active(operator: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For polls: whether the active object is a neural asset; says so where it is not."""
    if context.object is None or payload.find_payload(context.object) is None:
        operator.poll_message_set("The active object is no neural asset")
        return False
    return True


def is_changeable(operator: type[bpy.types.Operator], owner: bpy.types.ID, linked: str) -> bool:
    """For polls: whether an artist can change a datablock so that it lasts. linked: what is said where it is of another
    file; Blender makes overrides, too, that forget when the file is opened next."""
    override = owner.override_library
    if not owner.is_editable:
        operator.poll_message_set(linked)
    elif override is not None and override.is_system_override:
        operator.poll_message_set("It is a library override that is not editable: Shift-click the icon beside its "
                                  "name in the Properties editor")
    else:
        return True
    return False


def is_object_mode(operator: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For poll(): assets are added in Object Mode."""
    if context.mode == "OBJECT":
        return True
    operator.poll_message_set("Neural assets are added in Object Mode")
    return False
