"""Putting an asset into the scene, and what every operator says when something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from .. import compositing, log, payload, proxy
from .._core import asset as assets
from .._core import errors, thumbnail


def place_asset(context: bpy.types.Context, asset: assets.NeuralAsset, data: bytes) -> bpy.types.Object:
    """An object for the asset at the 3D cursor, alone selected and active; data: the bytes of its .near file."""
    ob = proxy.build(asset, asset.name or "Neural Asset")
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


def replace_asset(ob: bpy.types.Object, asset: assets.NeuralAsset, data: bytes) -> bpy.types.Object:
    """Another asset for an object that stands for one; it keeps its place and name, not changes of its mesh."""
    made = proxy.build(asset, ob.name)
    before: Any = ob.data
    ob.data = made.data
    payload.attach(ob, data, asset.name)
    bpy.data.objects.remove(made)
    if before is not None and not before.users:
        bpy.data.meshes.remove(before)
    proxy.set_preview(ob, thumbnail.draw(asset))
    return ob


@contextmanager
def report_errors(operator: bpy.types.Operator) -> Iterator[None]:
    """Reports a NearError as Blender does; from Python it arrives as RuntimeError."""
    try:
        yield
    except errors.NearError as error:
        log.add(str(error))
        operator.report({"ERROR"}, str(error))


def is_object_mode(operator: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For poll(): assets are added in Object Mode."""
    if context.mode == "OBJECT":
        return True
    operator.poll_message_set("Neural assets are added in Object Mode")
    return False
