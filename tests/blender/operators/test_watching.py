"""What goes on ends with the add-on: Blender tells an operator nothing when its class goes."""

from types import SimpleNamespace

import bpy

import near_blender
from near_blender.operators import watching


def test_what_is_watched_ends_with_the_add_on():
    ended = []

    def cancel(context) -> None:
        ended.append(hasattr(bpy.types.Scene, "near"))
        watching.leave(operator, context)

    operator = SimpleNamespace(cancel=cancel)
    watching._watching.append((operator, bpy.context.window_manager.event_timer_add(0.1)))
    near_blender.unregister()
    near_blender.register()
    assert ended == [True] and not watching._watching
