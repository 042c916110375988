"""NeAR in Blender: the only package that imports bpy.

Every module of MODULES has register() and unregister(); they are called in this order and in reverse.
"""

from __future__ import annotations

from . import api, commands, opening, operators, preferences, properties, translations
from .asset import following, imports, looks, payload, photo_options, saving, turntable
from .client import client
from .cycles import scene as cycles_scene
from .engine import compositing, engine
from .panels import asset as asset_panels
from .panels import engine as engine_panels
from .panels import followed as followed_panels
from .panels import look as look_panels
from .panels import manual, menus
from .panels import preferences as preferences_panels

MODULES = (translations, opening, client, looks, photo_options, properties, payload, saving, imports, turntable,
           following, cycles_scene, engine, compositing, preferences_panels, preferences, operators, engine_panels,
           followed_panels, asset_panels, look_panels, menus, manual, commands, api)


def register() -> None:
    for module in MODULES:
        module.register()


def unregister() -> None:
    engine.stop_drawing()  # what it draws with goes now
    for module in reversed(MODULES):
        module.unregister()
