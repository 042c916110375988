"""What final pictures among ordinary things make ready while they wait for light."""

from dataclasses import replace

import bpy
import pytest
import stage

from near_blender.client import client
from near_blender.engine import engine, surroundings
from near_blender.scene import sync
from near_core import errors
from tests.machine import slowness


@pytest.fixture
def scene(ball, monkeypatch):
    """A ball on a floor, of few samples, and probes of few texels."""
    monkeypatch.setattr(surroundings, "LARGE", ((64, 32), 4))
    scene = stage.make_stage()
    stage.add_asset(ball)
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.7))
    scene.near.samples, scene.near.denoise = 1, False
    return scene


def test_assets_are_made_ready_while_light_from_around_is_waited_for(scene, tmp_path, monkeypatch):
    asked, submit = [], client.get_worker().submit

    def note(op, *arguments, **fields):
        asked.append(op)
        return submit(op, *arguments, **fields)

    monkeypatch.setattr(client.get_worker(), "submit", note)
    surroundings.forget()
    stage.render(scene, tmp_path)
    scene.camera.location.x += 0.1
    stage.render(scene, tmp_path)
    assert asked == ["prepare", "render", "render"]
    scene.near.quality, scene.render.use_motion_blur = "DRAFT", True
    surroundings.forget()
    stage.render(scene, tmp_path)
    assert asked[3:] == ["render"], "a draft that is blurred takes other meshes"


@pytest.mark.timing
def test_escape_stops_what_is_made_ready_too(scene, tmp_path, monkeypatch):
    stage.render(scene, tmp_path)
    made, submit = [], client.get_worker().submit

    def ask_for_much(op, *arguments, camera, settings, **fields):
        if op == "prepare":
            large = replace(camera, width=4096, height=4096, intrinsics=camera.intrinsics * 64)
            made.append(submit("render", "prepare", camera=large, settings=settings, **fields))
            return made[0]
        return submit(op, *arguments, camera=camera, settings=settings, **fields)

    monkeypatch.setattr(client.get_worker(), "submit", ask_for_much)
    surroundings.forget()
    asked, ask = [], surroundings.OrdinaryThings.ask_picture  # which is where light is there
    monkeypatch.setattr(surroundings.OrdinaryThings, "ask_picture", lambda *given: asked.append(1) or ask(*given))
    monkeypatch.setattr(engine.NearRenderEngine, "_is_stopped", lambda self: bool(asked))
    bpy.ops.render.render()
    assert asked and made[0].wait(0.6 * slowness()) and isinstance(made[0].error, errors.Cancelled)


def test_what_is_wrong_with_a_picture_is_not_put_on_ordinary_things(scene, monkeypatch, capfd):
    surroundings.forget()

    def fail(*_):
        raise errors.NearError("It is wrong.", "Mend it.")

    monkeypatch.setattr(sync, "make_request", fail)
    with pytest.raises(RuntimeError, match="It is wrong"):
        bpy.ops.render.render()
    assert "left out" not in capfd.readouterr().out
