"""What goes on ends with the add-on: Blender tells an operator nothing when its class goes."""

from types import SimpleNamespace

import bpy

import near_blender
from near_blender.operators import watching


def test_what_is_watched_ends_with_the_add_on():
    ended = []

    def cancel(context) -> None:
        ended.append(hasattr(bpy.types.Scene, "near"))
        if len(ended) == 1:
            raise ReferenceError("StructRNA of type Object has been removed")
        watching.leave(operator, context)

    operator = SimpleNamespace(cancel=cancel)
    for each in (SimpleNamespace(cancel=cancel), operator):  # what the first one raises keeps nothing
        watching._watching.append((each, bpy.context.window_manager.event_timer_add(0.1)))
    bpy.app.handlers.load_post.clear()  # as scripts do
    near_blender.unregister()
    near_blender.register()
    assert ended == [True, True] and not watching._watching
