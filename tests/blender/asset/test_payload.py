"""The asset's bytes survive everything Blender does with a file."""

import subprocess
import sys

import bpy
import numpy as np
import pytest

import near_blender
from near_blender.asset import payload, proxy
from near_core import asset as assets
from near_core.errors import NearError


@pytest.fixture
def data(ball) -> bytes:
    return assets.to_bytes(ball)


@pytest.fixture
def ob(data) -> bpy.types.Object:
    """An object that stands for the ball."""
    ob = bpy.data.objects.new("Ball", bpy.data.meshes.new("Ball"))
    bpy.context.scene.collection.objects.link(ob)
    payload.attach(ob, data)
    return ob


def only_asset() -> bytes | None:
    """The bytes of the one object in the file."""
    (ob,) = bpy.data.objects
    return payload.read_bytes(ob.near.asset)


def save(path) -> str:
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return str(path)


def test_holds_any_bytes_and_decodes_them(ob, data, ball):
    assert payload.read_bytes(ob.near.asset) == data
    assert payload.find_hash(ob.near.asset) == payload.hash_bytes(data)
    assert np.array_equal(payload.decode_asset(ob).coords, ball.coords)
    assert payload.decode_asset(ob) is payload.decode_asset(ob), "decoded once"


def test_equal_bytes_share_a_payload_and_others_do_not(ob, data):
    twin = bpy.data.objects.new("Twin", bpy.data.meshes.new("Twin"))
    assert payload.attach(twin, data) == ob.near.asset
    payload.attach(twin, data + b"\0")
    assert twin.near.asset != ob.near.asset
    assert payload.read_bytes(ob.near.asset) == data and payload.read_bytes(twin.near.asset) == data + b"\0"


def test_ordinary_objects_have_none():
    ob = bpy.data.objects.new("Plain", bpy.data.meshes.new("Plain"))
    assert payload.decode_asset(ob) is None and payload.read_bytes(None) is None and payload.find_hash(ob.data) is None


def test_damaged_bytes_are_reported_by_the_objects_name(ob, data):
    payload.attach(ob, data[:-100])
    with pytest.raises(NearError, match="asset of Ball"):
        payload.decode_asset(ob)


def test_a_property_that_is_no_bytes_counts_as_no_payload(ob):
    ob.near.asset = bpy.data.meshes.new("Odd")
    ob.near.asset[payload.KEY] = "text"
    assert payload.decode_asset(ob) is None


@pytest.mark.parametrize("compress", [False, True])
def test_save_and_open(ob, data, tmp_path, compress):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"), compress=compress)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert only_asset() == data


@pytest.mark.parametrize("link", [False, True])
def test_append_and_link(ob, data, tmp_path, link):
    path = save(tmp_path / "library.blend")
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    with bpy.data.libraries.load(path, link=link) as (source, target):
        target.objects = ["Ball"]
    assert only_asset() == data
    bpy.context.scene.collection.objects.link(bpy.data.objects[0])
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "user.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "user.blend"))
    assert only_asset() == data


def test_library_override_can_name_another_asset(ob, data, tmp_path):
    path = save(tmp_path / "library.blend")
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    with bpy.data.libraries.load(path, link=True) as (source, target):
        target.objects = ["Ball"]
    override = bpy.data.objects[0].override_create()
    bpy.context.scene.collection.objects.link(override)
    payload.attach(override, data + b"\0")
    save(tmp_path / "user.blend")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "user.blend"))
    local = next(o for o in bpy.data.objects if not o.library)
    assert payload.read_bytes(local.near.asset) == data + b"\0"


def test_duplicates_share_it(ob):
    ob.select_set(True)
    bpy.ops.object.duplicate()
    first, second = bpy.data.objects
    assert first.near.asset == second.near.asset and first.near.asset.users == 2


def test_copy_and_paste(ob, data):
    ob.select_set(True)
    bpy.ops.view3d.copybuffer()
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    bpy.ops.view3d.pastebuffer()
    assert only_asset() == data


def test_undo_and_redo(ob, data):
    bpy.ops.ed.undo_push(message="with the asset")
    payload.attach(ob, data + b"\0")
    bpy.ops.ed.undo_push(message="with another")
    bpy.ops.ed.undo()
    assert only_asset() == data and payload.find_hash(bpy.data.objects[0].near.asset) == payload.hash_bytes(data)
    bpy.ops.ed.redo()
    assert only_asset() == data + b"\0"


def test_an_evaluated_object_shows_it_under_a_modifier(ob, data):
    ob.modifiers.new("Subdivision", "SUBSURF")
    evaluated = ob.evaluated_get(bpy.context.evaluated_depsgraph_get())
    assert payload.read_bytes(evaluated.near.asset) == data


def test_purging_orphans_keeps_it_as_long_as_an_object_does(ob, data):
    bpy.data.orphans_purge(do_recursive=True)
    assert only_asset() == data
    bpy.data.objects.remove(ob)
    bpy.data.orphans_purge(do_recursive=True)
    assert not bpy.data.meshes


def test_saved_without_the_addon_nothing_is_lost(ob, data, tmp_path):
    path = save(tmp_path / "a.blend")
    near_blender.unregister()
    try:
        bpy.ops.wm.open_mainfile(filepath=path)
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    finally:
        near_blender.register()
    bpy.ops.wm.open_mainfile(filepath=path)
    assert only_asset() == data


def test_a_blender_that_never_saw_the_addon_keeps_it(ob, data, tmp_path):
    path = save(tmp_path / "a.blend")
    script = f"import bpy; bpy.ops.wm.open_mainfile(filepath={path!r}); bpy.ops.wm.save_as_mainfile(filepath={path!r})"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=120)
    bpy.ops.wm.open_mainfile(filepath=path)
    assert only_asset() == data


def test_hashes_of_a_file_are_forgotten_with_it(ob, data, tmp_path):
    path = save(tmp_path / "a.blend")
    payload.attach(ob, data + b"\0")
    bpy.ops.wm.open_mainfile(filepath=path)
    assert payload.find_hash(bpy.data.objects[0].near.asset) == payload.hash_bytes(data)


def test_proxies_and_their_assets_live_together(ball, data):
    ob = proxy.build(ball, "Ball")
    bpy.context.scene.collection.objects.link(ob)
    payload.attach(ob, data)
    assert not ob.near.asset.vertices and ob.near.asset.users == 1
