"""Online Manual, F1 on a button: a page that comes with the extension, so that it needs no network."""

from __future__ import annotations

from pathlib import Path

import bpy

PAGE = Path(__file__).resolve().parents[1] / "assets" / "manual.html"
# Blender's names of operators and properties, in small letters, and the page's section; the first that fits counts
SECTIONS = (
    ("bpy.ops.near.create_asset_from_mesh*", "mesh"), ("bpy.ops.near.create_*", "photos"),
    ("bpy.ops.near.fit_pose*", "pose"), ("bpy.ops.near.correct_matte*", "matte"), ("bpy.ops.near.draw_hints*", "matte"),
    ("bpy.ops.near.pick_object*", "matte"),
    ("bpy.ops.near.match_camera*", "pose"), ("bpy.ops.near.limit_camera*", "photos"),
    ("bpy.ops.near.remake_asset*", "matte"),
    ("bpy.ops.near.watch_creation*", "photos"), ("bpy.ops.near.stop*", "photos"),
    ("bpy.ops.near.bake_*", "out"), ("bpy.ops.near.export_asset*", "out"), ("bpy.ops.near.import_asset*", "out"),
    ("bpy.ops.near.mark_asset*", "out"), ("bpy.ops.near.add_sample*", "start"),
    ("bpy.ops.near.render_*", "showcase"),
    ("bpy.ops.near.build_compositing*", "compositing"), ("bpy.ops.near.apply_preset*", "render"),
    ("bpy.ops.near.check_setup*", "setup"), ("bpy.ops.near.copy_setup*", "setup"),
    ("bpy.ops.near.*", "published"), ("bpy.types.near_ap_*", "published"),
    ("bpy.types.near_pg_look*", "look"), ("bpy.types.near_pg_view_layer*", "passes"),
    ("bpy.types.near_pg_world*", "world"), ("bpy.types.near_pg_origin*", "matte"),
    ("bpy.types.near_pg_photo*", "photos"),
    ("bpy.types.near_pg_object*", "look"), ("bpy.types.near_pg_*", "render"))


def get_map() -> tuple[str, tuple[tuple[str, str], ...]]:
    """What Blender asks for: the beginning of all addresses, and pairs of a pattern and the rest of one."""
    return f"{PAGE.as_uri()}#", SECTIONS


def register() -> None:
    bpy.utils.register_manual_map(get_map)


def unregister() -> None:
    bpy.utils.unregister_manual_map(get_map)
