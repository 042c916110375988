"""Registering leaves a Blender with NeAR in it, unregistering one without a trace."""

import fnmatch
import importlib
import re
import tomllib
from pathlib import Path

import bpy
import pytest

import near_blender
from near_blender import properties
from near_blender.panels import followed as followed_panels
from near_blender.panels import manual
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
            "EEVEE_MATERIAL_PT_surface", "VIEWLAYER_PT_layer", "DATA_PT_context_mesh",
            "EEVEE_MATERIAL_PT_volume", "EEVEE_WORLD_PT_volume", "VIEWLAYER_PT_filter"} <= stock_panels()
    assert "DATA_PT_EEVEE_light" in stock_panels() and "DATA_PT_light" not in stock_panels(), "one panel Light"
    assert not any("freestyle" in name or "cycles" in name.lower() for name in stock_panels())


class NotedLayout:
    """Takes what a panel draws, and notes the properties, and those that are grey."""

    def __init__(self, whole=None):
        self.shown, self.grey = (set(), set()) if whole is None else (whole.shown, whole.grey)
        self.active = True

    def column(self, **_):
        return NotedLayout(self)

    row = column

    def prop(self, owner, name, **_):
        owner.path_resolve(name)  # raises where there is none
        self.shown.add(name)
        if not self.active:
            self.grey.add(name)

    def template_node_view(self, _tree, node, socket):
        self.shown.add(f"{node.type} {socket.name}")


def draw(name: str, **members) -> set[str]:
    """Properties that a panel shows beside these members of the context."""
    return lay_out(name, **members).shown


def lay_out(name: str, **members) -> NotedLayout:
    panel, layout = getattr(bpy.types, f"NEAR_{name}"), NotedLayout()
    with bpy.context.temp_override(**members):
        assert panel.poll(bpy.context)
        panel.draw(type("Drawn", (), {"layout": layout}), bpy.context)
    return layout


def test_what_is_set_for_cycles_and_followed_is_within_reach():
    scene = bpy.context.scene
    scene.render.engine, world = "NEAR", bpy.data.worlds.new("World")
    shown = set().union(*(draw(name, world=world) for name in (
        "RENDER_PT_sampling", "RENDER_PT_light_paths", "RENDER_PT_volumes", "RENDER_PT_curves", "RENDER_PT_film",
        "RENDER_PT_simplify", "VIEWLAYER_PT_override", "WORLD_PT_settings", "WORLD_PT_visibility")))
    assert {"seed", "use_animated_seed", "max_bounces", "glossy_bounces", "sample_clamp_indirect", "blur_glossy",
            "caustics_reflective", "volume_step_rate", "shape", "film_transparent", "film_exposure", "filter_width",
            "material_override", "diffuse", "sampling_method", "simplify_subdivision_render"} <= shown
    scene.render.engine = "CYCLES"
    assert not bpy.types.NEAR_RENDER_PT_light_paths.poll(bpy.context)


def test_what_lamps_materials_and_objects_have_is_within_reach():
    bpy.context.scene.render.engine = "NEAR"
    area, spot = (bpy.data.lights.new(kind, kind) for kind in ("AREA", "SPOT"))
    spot.use_nodes = True
    assert draw("DATA_PT_beam_shape", light=area) == {"spread"}
    assert {"use_shadow", "max_bounces", "is_portal"} <= draw("DATA_PT_light_settings", light=area)
    assert "is_portal" not in draw("DATA_PT_light_settings", light=spot)
    assert "OUTPUT_LIGHT Surface" in draw("DATA_PT_light_nodes", light=spot)
    with bpy.context.temp_override(light=spot):
        assert not bpy.types.NEAR_DATA_PT_beam_shape.poll(bpy.context)
    assert {"pass_index", "use_transparent_shadow", "emission_sampling", "volume_sampling"} <= draw(
        "MATERIAL_PT_settings", material=bpy.data.materials.new("Skin"))
    mesh, camera = (bpy.data.objects.new("Moving", data) for data in (
        bpy.data.meshes.new("Moving"), bpy.data.cameras.new("Moving")))
    assert draw("OBJECT_PT_motion_blur", object=mesh) == {"motion_steps", "use_deform_motion"}
    assert draw("OBJECT_PT_motion_blur", object=camera) == {"motion_steps"}


def test_what_does_nothing_as_things_are_is_grey():
    scene, world, area = bpy.context.scene, bpy.data.worlds.new("World"), bpy.data.lights.new("Area", "AREA")
    scene.render.engine, material = "NEAR", bpy.data.materials.new("Skin")
    for tree, grey in ((True, {"light_sampling_threshold"}), (False, set())):
        scene.cycles.use_light_tree = tree
        assert lay_out("RENDER_PT_sampling").grey == grey
    area.cycles.is_portal = True
    assert lay_out("DATA_PT_light_settings", light=area).grey == {
        "use_shadow", "max_bounces", "use_multiple_importance_sampling"}
    area.cycles.is_portal = False
    assert not lay_out("DATA_PT_light_settings", light=area).grey
    is_biased = hasattr(scene.cycles, "volume_biased")
    for steps in (False, True):
        if is_biased:
            scene.cycles.volume_biased = steps
        for group in (world, material):
            if hasattr(group.cycles, "homogeneous_volume"):
                group.cycles.homogeneous_volume = not steps
            kind = group.bl_rna.identifier
            grey = lay_out(f"{kind.upper()}_PT_settings", **{kind.lower(): group}).grey
            assert any(each.startswith("volume_step") for each in grey) != steps
    world.cycles.sampling_method = "NONE"
    assert {"sample_map_resolution", "max_bounces"} == lay_out("WORLD_PT_settings", world=world).grey


def test_a_blender_without_the_panel_light_has_the_shape_of_beams_by_itself(monkeypatch):
    """As one may be that has another engine's panels only."""
    near_blender.unregister()
    panel, lacking = bpy.types.DATA_PT_EEVEE_light, []
    try:
        bpy.utils.unregister_class(panel)
        importlib.reload(followed_panels)
        lacking.append(hasattr(followed_panels.NEAR_DATA_PT_beam_shape, "bl_parent_id"))
        near_blender.register()
        near_blender.unregister()
    finally:
        bpy.utils.register_class(panel)
        importlib.reload(followed_panels)
        near_blender.register()
    assert lacking == [False] and bpy.types.NEAR_DATA_PT_beam_shape.bl_parent_id == panel.__name__


# operators that change nothing that could be undone: files, pictures, the clipboard, preferences, or work of others
UNDONE_BY_OTHERS = {
    "bake_splats", "export_asset", "render_turntable", "render_light_sweep", "copy_setup", "check_setup", "stop",
    "check_python", "set_up_python", "remove_python", "download_checkpoint", "verify_checkpoint", "remove_checkpoint",
    "use_checkpoint",
    # near.watch_creation is the step that changes something
    "create_asset_from_mesh", "create_asset_from_image", "create_asset_from_photos", "remake_asset", "correct_matte",
    "create_asset_from_clipboard", "create_assets_from_folder", "draw_hints", "pick_object", "fit_pose"}


def list_operators() -> dict[str, type]:
    return {name: getattr(bpy.types, f"NEAR_OT_{name}") for name in dir(bpy.ops.near)}


def test_every_operator_has_a_tooltip_an_undo_and_a_manual():
    for name, operator in list_operators().items():
        rna = bpy.ops.near.__getattr__(name).get_rna_type()
        assert rna.name and rna.name[0].isupper(), name
        if "INTERNAL" not in operator.bl_options:
            assert rna.description and not rna.description.endswith("."), name
        assert ("UNDO" in operator.bl_options) != (name in UNDONE_BY_OTHERS), name
        for prop in rna.properties:
            if prop.identifier not in ("rna_type", "filepath", "directory", "files") and not prop.is_hidden:
                assert prop.description and not prop.description.endswith("."), (name, prop.identifier)
        assert find_section(f"bpy.ops.near.{name}") in list_sections(), name


def test_every_property_of_the_panels_has_a_manual():
    for group in {*properties.GROUPS.values(), *(getattr(bpy.types, name) for name in dir(bpy.types)
                                                 if name.startswith("NEAR_PG"))}:
        for prop in group.bl_rna.properties:
            assert find_section(f"bpy.types.{group.__name__}.{prop.identifier}") in list_sections()


def test_every_operator_is_run_by_a_test():
    written = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    assert [name for name in list_operators() if f"near.{name}" not in written and f"_{name}" not in written] == []


def test_a_grey_button_says_why():
    """Where nothing is: no object, no camera, no photo."""
    bpy.context.scene.camera = None
    silent = []
    for name in list_operators():
        call = getattr(bpy.ops.near, name)
        if not call.poll():
            with pytest.raises(RuntimeError) as said:
                call()
            if "poll() failed, context is incorrect" in str(said.value):
                silent.append(name)
    assert silent == []


def list_sections() -> set[str]:
    return set(re.findall(r'<h2 id="(\w+)"', manual.PAGE.read_text()))


def find_section(rna: str) -> str:
    """The section of the page that F1 opens, as Blender finds it."""
    prefix, mapping = next(each() for each in bpy.utils._manual_map if each is manual.get_map)
    assert prefix.startswith("file:") and prefix.endswith("manual.html#")
    return next(address for pattern, address in mapping if fnmatch.fnmatchcase(rna.lower(), pattern))


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
