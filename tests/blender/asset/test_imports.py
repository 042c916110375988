"""Append, link and paste bring one object, and no payload twice."""

import bpy
import pytest
import stage

from near_blender.asset import imports, payload


@pytest.fixture
def library(ball, tmp_path) -> str:
    """A file with an asset."""
    stage.make_stage()
    stage.add_asset(ball, "Thing")
    path = str(tmp_path / "library.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path, copy=True)
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    return path


def list_payloads() -> list[bpy.types.Mesh]:
    return [mesh for mesh in bpy.data.meshes if payload.is_payload(mesh)]


def bring(library: str, how: str) -> None:
    getattr(bpy.ops.wm, how)(directory=f"{library}/Object/", filename="Thing")


def test_append_brings_one_object_and_its_bytes_once(library, ball):
    for count in (1, 2):
        bring(library, "append")
        assert len(bpy.data.objects) == count and len(list_payloads()) == 1
    assert [payload.decode_asset(ob).name for ob in bpy.data.objects] == [ball.name] * 2


def test_link_brings_one_object(library, ball):
    bring(library, "link")
    (ob,), (mesh,) = bpy.data.objects, list_payloads()
    assert ob.library and mesh.library and payload.decode_asset(ob).name == ball.name


def test_a_link_and_an_own_copy_stay_apart(library):
    bring(library, "link")
    bring(library, "append")
    assert {bool(mesh.library) for mesh in list_payloads()} == {True, False}


def test_paste_shares_the_bytes(ball):
    stage.make_stage()
    ob = stage.add_asset(ball, "Thing")
    ob.select_set(True)
    bpy.context.view_layer.objects.active = ob
    bpy.ops.view3d.copybuffer()
    bpy.ops.view3d.pastebuffer()
    twin = bpy.data.objects["Thing.001"]
    assert len(list_payloads()) == 1 and twin.near.asset == ob.near.asset and len(bpy.data.objects) == 3


def test_undo_goes_over_tidy_steps(library):
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.wm.append("EXEC_DEFAULT", True, directory=f"{library}/Object/", filename="Thing")
    bpy.data.objects["Thing"].location.x = 1
    bpy.ops.ed.undo_push(message="after")
    counts = []
    for step in (bpy.ops.ed.undo, bpy.ops.ed.undo, bpy.ops.ed.redo):
        step()
        counts.append((len(bpy.data.objects), len(list_payloads())))
    assert counts == [(1, 1), (0, 0), (1, 1)]


def test_it_is_tidy_where_blender_does_not_tell_of_imports(library):
    """As before 4.3."""
    imports.unregister()
    try:
        bring(library, "append")
        assert len(bpy.data.objects) == 2, "what Blender does by itself"
        bpy.app.handlers.depsgraph_update_post.append(imports._on_update)
        bring(library, "append")
        bpy.context.view_layer.update()
        assert len(bpy.data.objects) == 2 and len(list_payloads()) == 1
    finally:
        bpy.app.handlers.depsgraph_update_post.remove(imports._on_update)
        imports.register()
