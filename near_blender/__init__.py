"""NeAR in Blender: the only package that imports bpy.

Every module of MODULES has register() and unregister(); they are called in this order and in reverse.
"""

from __future__ import annotations

from . import (
    api,
    client,
    commands,
    compositing,
    cycles_scene,
    engine,
    engine_panels,
    followed_panels,
    following,
    imports,
    look_panels,
    looks,
    manual,
    menus,
    opening,
    operators,
    panels,
    payload,
    photo_options,
    preferences,
    preferences_panel,
    properties,
    saving,
    translations,
    turntable,
)

MODULES = (translations, opening, client, looks, photo_options, properties, payload, saving, imports, turntable,
           following, cycles_scene, engine, compositing, preferences_panel, preferences, operators, engine_panels,
           followed_panels, panels, look_panels, menus, manual, commands, api)


def register() -> None:
    for module in MODULES:
        module.register()


def unregister() -> None:
    engine.stop_drawing()  # what it draws with goes now
    for module in reversed(MODULES):
        module.unregister()
