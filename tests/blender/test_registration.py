"""Registering leaves a Blender with NeAR in it, unregistering one without a trace."""

import re
import tomllib
from pathlib import Path

import bpy
import pytest

import near_blender
from near_blender import properties
from near_core import __version__

ROOT = Path(__file__).resolve().parents[2]


def names() -> set[str]:
    """Everything called NEAR in bpy.types, and every near operator."""
    return {n for n in dir(bpy.types) if n.startswith("NEAR")} | {f"near.{n}" for n in dir(bpy.ops.near)}


def stock_panels() -> set[str]:
    """Stock panels that are shown for NeAR."""
    found = (getattr(bpy.types, n) for n in dir(bpy.types) if "_PT_" in n and not n.startswith("NEAR"))
    return {panel.__name__ for panel in found if "NEAR" in getattr(panel, "COMPAT_ENGINES", ())}


def test_unregister_leaves_nothing_and_register_works_again():
    before, shown = names(), stock_panels()
    menus = {menu: len(getattr(bpy.types, menu)._dyn_ui_initialize())
             for menu in ("VIEW3D_MT_add", "TOPBAR_MT_file_import", "TOPBAR_MT_file_export")}
    near_blender.unregister()
    try:
        assert not names() and not stock_panels()
        assert not any(hasattr(owner, "near") for owner in properties.GROUPS)
        for menu, count in menus.items():
            assert len(getattr(bpy.types, menu)._dyn_ui_initialize()) == count - 1
        engines = [engine for engine in bpy.types.RenderEngine.__subclasses__() if engine.is_registered]
        assert "NEAR" not in [getattr(engine, "bl_idname", "") for engine in engines]
    finally:
        near_blender.register()
    assert names() == before and stock_panels() == shown


def test_the_panels_of_every_engine_are_shown_for_near_too():
    assert {"DATA_PT_lens", "DATA_PT_camera", "RENDER_PT_color_management", "RENDER_PT_format", "RENDER_PT_frame_range",
            "RENDER_PT_output", "RENDER_PT_stereoscopy", "WORLD_PT_context_world", "EEVEE_WORLD_PT_surface",
            "EEVEE_MATERIAL_PT_surface", "VIEWLAYER_PT_layer", "DATA_PT_context_mesh"} <= stock_panels()
    assert not any("freestyle" in name or "cycles" in name.lower() for name in stock_panels())


@pytest.mark.parametrize("group", properties.GROUPS.values(), ids=lambda g: g.__name__)
def test_properties_are_explained_and_can_be_overridden(group):
    for prop in group.bl_rna.properties:
        if prop.identifier in ("rna_type", "name"):
            continue
        assert prop.description and not prop.description.endswith("."), prop.identifier
        assert prop.is_overridable, prop.identifier
        if prop.type == "ENUM":
            assert [item.value for item in prop.enum_items] == list(range(len(prop.enum_items)))


def test_operators_are_explained_in_blenders_way():
    for name in dir(bpy.ops.near):
        rna = getattr(bpy.ops.near, name).get_rna_type()
        assert rna.name == rna.name.title().replace("From", "from").replace(" In ", " in "), rna.name
        assert not rna.description.endswith("."), name
        for prop in rna.properties:
            if not prop.is_hidden and prop.identifier not in ("rna_type", "filepath", "directory"):
                assert prop.description and not prop.description.endswith("."), f"{name}.{prop.identifier}"


def test_menus_and_panels_are_known():
    assert isinstance(bpy.types.NEAR_MT_add.bl_rna.name, str)
    assert {"NEAR_FH_image", "NEAR_FH_asset"} <= names()


def test_the_manifest_agrees_with_the_code():
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text())
    assert manifest["version"] == __version__ and manifest["id"] == "near"
    assert len(manifest["tagline"]) <= 64 and not manifest["tagline"].endswith(".")
    assert "blender" not in manifest["name"].lower()
    why = manifest["permissions"]["files"]
    assert re.fullmatch(r"[a-zA-Z0-9 /,-]+", why) and len(why) <= 64
