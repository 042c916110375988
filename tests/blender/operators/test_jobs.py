"""Creating is stopped: within half a second, nothing of it stays, and the worker goes on."""

import os
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest

from near_blender import references
from near_blender.asset import payload
from near_blender.client import client, worker_process
from near_blender.operators import jobs, transfer, watching
from near_blender.scene import geometry
from near_core import errors
from tests.machine import slowness

PHOTO = str(transfer.SAMPLE.parent / "coffee.jpg")
WITHIN = 0.5  # seconds, on a quiet machine
KINDS = ("objects", "meshes", "materials", "images", "textures", "collections")


@pytest.fixture(params=["photo", "mesh"])
def begin(request):
    """Calls the operator; the mesh is one that takes seconds."""
    client.get_worker().check(60)
    if request.param == "photo":
        return lambda: bpy.ops.near.create_asset_from_image(filepath=PHOTO)
    bpy.ops.mesh.primitive_monkey_add()
    bpy.context.object.modifiers.new("Smooth", "SUBSURF").levels = 5
    return lambda: bpy.ops.near.create_asset_from_mesh()


def contents() -> tuple[dict[str, int], set[Path]]:
    """How many datablocks of each kind there are; temporary files but those that a running worker talks through."""
    found = (path for folder in Path(tempfile.gettempdir()).glob("near-*") for path in os.walk(folder))  # may be going
    return ({kind: len(getattr(bpy.data, kind)) for kind in KINDS},
            {Path(folder, name) for folder, _, names in found for name in names if name not in ("answers", "requests")})


@pytest.fixture
def stop_after(begin, monkeypatch):
    """Stops the operator some seconds after it began: how long that took. Skips where it was done by then."""
    def run(seconds: float) -> float:
        begun, stopped, finish = [], [], jobs.finish

        def stop() -> None:
            time.sleep(seconds)
            stopped.append(time.monotonic())
            begun[0].cancel()

        def watch(*given):
            begun.append(jobs.get_current())
            threading.Thread(target=stop).start()
            return finish(*given)

        with monkeypatch.context() as patch:
            patch.setattr(jobs, "finish", watch)
            answer, ended = begin(), time.monotonic()
        try:
            begun[0].job.result()
        except errors.Cancelled:
            assert answer == {"CANCELLED"}
            return ended - stopped[0]
        pytest.skip("this machine has created it by then")
    return run


@pytest.mark.timing
@pytest.mark.parametrize("seconds", [0.05, 0.5, 1.0])
def test_stops_at_once(stop_after, seconds):
    assert stop_after(seconds) < WITHIN * slowness()


@pytest.mark.parametrize("seconds", [0.05, 0.5, 1.0])
def test_what_was_stopped_leaves_nothing_and_can_be_done_again(begin, stop_after, seconds):
    before = contents()
    stop_after(seconds)
    assert contents() == before and jobs.get_current() is None
    if seconds == 1.0:
        assert begin() == {"FINISHED"}


def test_the_button_stops_the_creation_under_way(monkeypatch):
    assert bpy.ops.near.stop(what="CREATION") == bpy.ops.near.stop(what="TASK") == {"CANCELLED"}, "nothing to stop"
    job = client.create_from_image([PHOTO], name="Photo")
    monkeypatch.setattr(jobs, "_current", jobs.Creation(job, "Photo"))
    assert bpy.ops.near.stop(what="CREATION") == {"FINISHED"}
    with pytest.raises(errors.Cancelled):
        job.result()


def test_the_button_stops_what_comes_after_it_too(monkeypatch):
    job = client.create_from_image([PHOTO], name="Photo")
    monkeypatch.setattr(jobs, "_current", jobs.Creation(job, "Photo", rest=[
        jobs.Start("Next", lambda: jobs.Creation(job, "Next"))], series=jobs.Series(2)))
    bpy.ops.near.stop(what="CREATION")
    said = SimpleNamespace(report=lambda *_: None)
    assert jobs.finish(said, bpy.context) == {"CANCELLED"} and not jobs.advance(said)


def test_who_stops_several_is_told_what_failed_and_has_what_was_made(monkeypatch, cube):
    other = cube.copy()
    bpy.context.scene.collection.objects.link(other)
    job, said = client.create_from_image([PHOTO], name="Photo"), []
    made = [(references.Reference.to_object(ob), None) for ob in (cube, other)]
    monkeypatch.setattr(jobs, "_current", jobs.Creation(job, "Next", series=jobs.Series(5, made, ["Broken"])))
    cube.select_set(False)
    watch = SimpleNamespace(report=lambda kind, text: said.append((kind, text)), cancel=lambda context: job.cancel())
    jobs.NEAR_OT_watch_creation.modal(watch, bpy.context, SimpleNamespace(type="ESC", value="PRESS"))
    assert ({"WARNING"}, "Left out: Broken") in said and ({"INFO"}, "Creation cancelled") in said
    assert set(bpy.context.view_layer.objects.selected) == {cube, other}


def test_the_button_stops_what_is_made_and_not_yet_put_into_the_scene(cube):
    kept = create(cube)
    job = client.create_from_mesh(geometry.read_mesh(cube, bpy.context.scene).mesh, name="Cube", detail="draft")
    creation = jobs._current = jobs.Creation(job, "Cube", instead=references.Reference.to_object(kept))
    try:
        bpy.ops.object.mode_set(mode="EDIT")
        job.wait()
        before, said = payload.find_payload(kept), SimpleNamespace(report=lambda *_: None)
        assert creation.is_held
        bpy.ops.near.stop(what="CREATION")
        assert not creation.is_held and jobs.finish(said, bpy.context) == {"CANCELLED"}
        assert payload.find_payload(kept) == before
    finally:
        bpy.ops.object.mode_set(mode="OBJECT")
        jobs._stop()


def test_a_second_creation_does_not_take_the_place_of_the_first(monkeypatch):
    """A file dialog that was open when the first began."""
    first, second = (client.find_matte("missing.png", None, "near") for _ in range(2))
    monkeypatch.setattr(jobs, "_current", jobs.Creation(first, "Photo"))
    with pytest.raises(errors.NearError, match="Photo is being created"):
        jobs.run(None, bpy.context, jobs.Creation(second, "Another"), wait=False)
    assert jobs.get_current().job is first
    first.cancel()


@pytest.fixture
def meanwhile(monkeypatch):
    """Has something done while the next asset is made."""
    finish = jobs.finish
    return lambda act: monkeypatch.setattr(jobs, "finish", lambda *given: (act(), finish(*given))[1])


def create(cube) -> bpy.types.Object:
    """The object of an asset that is made of a cube."""
    before = set(bpy.data.objects)
    bpy.ops.near.create_asset_from_mesh(object_name=cube.name, detail="DRAFT")
    bpy.context.view_layer.update()
    return next(ob for ob in set(bpy.data.objects) - before if ob.near.asset is not None)


def test_a_source_that_is_renamed_meanwhile_is_found(cube, meanwhile):
    other = cube.copy()

    def rename() -> None:
        cube.name = "Renamed"
        bpy.context.scene.collection.objects.link(other)
        other.name, other.location.x = "Cube", 9

    meanwhile(rename)
    made = create(cube)
    assert other.name == "Cube" and not other.hide_render and cube.hide_render and made.location == cube.location


def test_the_asset_of_a_source_that_is_deleted_meanwhile_stands_where_it_stood(cube, meanwhile):
    cube.rotation_euler.z = 0.5
    bpy.context.view_layer.update()
    matrix = cube.matrix_world.copy()
    meanwhile(lambda: bpy.data.objects.remove(cube))
    made = create(cube)
    assert all(abs(a - b) < 1e-5 for row, wanted in zip(made.matrix_world, matrix) for a, b in zip(row, wanted))


def test_another_scene_in_front_does_not_get_it(cube, meanwhile):
    window, first = bpy.context.window_manager.windows[0], bpy.context.scene
    meanwhile(lambda: setattr(window, "scene", bpy.data.scenes.new("Other")))
    made = create(cube)
    try:
        assert bpy.context.scene.name == "Other" and not bpy.context.scene.objects
        assert first.objects[made.name] == made and made.select_get(view_layer=first.view_layers[0])
        assert made.location == cube.location and cube.hide_get(view_layer=first.view_layers[0])
    finally:
        window.scene = first


def test_who_edits_another_object_goes_on(cube, meanwhile):
    bpy.ops.mesh.primitive_plane_add()
    plane = bpy.context.object
    meanwhile(lambda: bpy.ops.object.mode_set(mode="EDIT"))
    made = create(cube)
    assert bpy.context.object == plane and plane.mode == "EDIT" and not made.select_get()
    assert made.location == cube.location and cube.hide_get()
    bpy.ops.object.mode_set(mode="OBJECT")


def test_an_asset_is_made_again_whatever_it_is_called_meanwhile(cube, meanwhile):
    kept, other = create(cube), bpy.data.objects.new("Other", None)
    before = payload.find_payload(kept)

    def rename() -> None:
        name, kept.name = kept.name, "Renamed"
        bpy.context.scene.collection.objects.link(other)
        other.name = name

    meanwhile(rename)
    mesh = geometry.read_mesh(cube, bpy.context.scene).mesh
    job = client.create_from_mesh(mesh, name="Cube", normalize=True, detail="standard")
    said = SimpleNamespace(report=lambda *_: None)
    made = jobs.Creation(job, kept.name, instead=references.Reference.to_object(kept))
    assert jobs.run(said, bpy.context, made, wait=True) == {"FINISHED"}
    assert payload.find_payload(kept) not in (None, before) and other.data is None and other.near.asset is None


def test_the_mesh_of_an_asset_that_is_edited_is_not_exchanged(cube):
    kept = create(cube)
    bpy.ops.object.mode_set(mode="EDIT")
    job = client.find_matte("missing.png", None, "near")
    creation = jobs.Creation(job, "Cube", instead=references.Reference.to_object(kept))
    job.wait(60)
    assert creation.is_held and creation.status == "Done: go back to Object Mode to get it"
    bpy.ops.object.mode_set(mode="OBJECT")
    assert not creation.is_held


def test_what_a_creation_still_takes_is_counted_down():
    creation, told = jobs.Creation(worker_process.JobHandle(client.get_worker(), {}, {}), "Cup"), []
    for spent, fraction in ((0.5, 0), (2, 0.04), (4, 0.2), (10, 0.2), (15, 0.2), (30, 0.2), (40, 0.8), (45, 0.8)):
        creation.job.fraction = fraction
        told.append(creation.tell_left(spent))
    assert told == [0, 0, 16, 10, 5, 0, 10, 5]


@pytest.mark.parametrize("goes_on", [None, 1, 2])
def test_who_goes_on_while_one_of_several_is_made_keeps_that(meanwhile, cube, goes_on):
    second, other = cube.copy(), bpy.data.objects.new("Other", cube.data.copy())
    for ob in (second, other):
        bpy.context.scene.collection.objects.link(ob)
    second.select_set(True)
    objects, count = bpy.context.view_layer.objects, []

    def choose() -> None:
        count.append(1)
        if len(count) == goes_on:
            for ob in objects:
                ob.select_set(ob == other)
            objects.active = other

    meanwhile(choose)
    bpy.ops.near.create_asset_from_mesh(detail="DRAFT")
    made = {ob for ob in bpy.data.objects if ob.near.asset is not None}
    assert len(count) == len(made) == 2
    assert objects.active in (made if goes_on is None else {other})
    assert set(objects.selected) == (made if goes_on is None else {other})


@pytest.mark.parametrize("goes_on", [False, True])
def test_who_goes_on_with_something_else_keeps_it(meanwhile, cube, goes_on):
    other = bpy.data.objects.new("Other", cube.data.copy())
    bpy.context.scene.collection.objects.link(other)

    def choose() -> None:
        cube.select_set(False)
        other.select_set(True)
        bpy.context.view_layer.objects.active = other

    meanwhile(choose if goes_on else lambda: None)
    bpy.ops.near.create_asset_from_mesh(detail="DRAFT")
    made = next(ob for ob in bpy.data.objects if ob not in (cube, other))
    objects = bpy.context.view_layer.objects
    assert objects.active == (other if goes_on else made) and list(objects.selected) == [objects.active]


def test_auto_save_finds_time_in_a_long_creation(monkeypatch):
    """Blender saves nothing by itself while an operator is modal: the one that watches ends for a moment, and what is
    made goes on."""
    job = client.create_from_image([PHOTO], name="Photo")
    monkeypatch.setattr(jobs, "_current", made := jobs.Creation(job, "Photo"))
    monkeypatch.setattr(watching, "_since", time.monotonic() - 61)
    timers, watched = [], []
    monkeypatch.setattr(jobs, "_watch", lambda: watched.append(bpy.context.window))
    monkeypatch.setattr(bpy.app.timers, "register", lambda function, **_: timers.append(function))
    window = bpy.context.window_manager.windows[0]
    watch = SimpleNamespace(report=lambda *_: None)
    with bpy.context.temp_override(window=window):
        tick = lambda: jobs.NEAR_OT_watch_creation.modal(watch, bpy.context, SimpleNamespace(type="TIMER", value=""))
        monkeypatch.setattr(watching, "_count_modal", lambda window: 2)
        assert tick() == {"PASS_THROUGH"}, "an artist moves something: Blender saves nothing anyway"
        monkeypatch.setattr(watching, "_count_modal", lambda window: 1)
        assert tick() == {"CANCELLED"} and jobs.get_current() is made and not job.is_cancelled
    (again,) = timers
    assert again() == watching.PAUSE and not watched, "Esc is for what an artist has begun meanwhile"
    monkeypatch.setattr(watching, "_count_modal", lambda window: 0)
    assert again() is None and watched == [window]
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    assert job.is_cancelled and jobs.get_current() is None, "whoever opens a file just then ends it"
