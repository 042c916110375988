"""Colours on their way from a file to near_core and back to the screen."""

import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
import stage

from near_blender import colorspace
from near_blender.scene import world
from near_blender.scene.world_light import WorldLight

CONFIG = "ocio://cg-config-v2.1.0_aces-v1.3_ocio-v2.3"  # ACES, which OpenColorIO brings along
REC709_TO_REC2020 = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]  # ITU-R BT.2087-0
REC709_TO_ACESCG = [[0.6131, 0.3395, 0.0474], [0.0702, 0.9164, 0.0135], [0.0206, 0.1096, 0.8697]]  # AP1, by Bradford
SPACES = {"Linear Rec.2020": tuple(np.transpose(REC709_TO_REC2020).ravel().tolist()),
          "ACEScg": tuple(np.transpose(REC709_TO_ACESCG).ravel().tolist())}
SATURATED = (0.8, 0.05, 0.3)

needs_working_space = pytest.mark.skipif(bpy.app.version < (5, 0, 0), reason="Blender 5 brought working spaces")


@pytest.fixture(autouse=True)
def rec709():
    yield
    if bpy.app.version >= (5, 0, 0):
        bpy.ops.wm.set_working_color_space(working_space="Linear Rec.709")


@needs_working_space
@pytest.mark.parametrize("space", SPACES)
def test_matrix_is_that_of_the_recommendation(space):
    bpy.ops.wm.set_working_color_space(working_space=space)
    assert np.allclose(colorspace.get_working_space(), SPACES[space], atol=2e-4)


def test_blenders_own_is_rec709():
    assert colorspace.get_working_space() == colorspace.REC709


def test_another_configuration_is_followed():
    """OpenColorIO's ACES, in a Blender of its own: what is painted, an asset's base colour, a texture."""
    made = subprocess.run([sys.executable, str(Path(__file__).with_name("aces.py"))], env=os.environ | {"OCIO": CONFIG},
                          capture_output=True, text=True, timeout=300)
    found = json.loads(made.stdout.splitlines()[-1])
    assert np.allclose(found["space"], SPACES["ACEScg"], atol=2e-4)
    assert np.allclose(found["painted"], [0.5, 0.2, 0.1], atol=2e-3) and np.allclose(found["bytes"], 0.2159, atol=2e-3)
    assert np.allclose(found["proxy"], np.reshape(SPACES["ACEScg"], (3, 3))[0], atol=1e-3), "red, as Rec.709 has it"
    assert np.allclose(found["texture"], 0.2159, atol=2e-3), "sRGB under another name"


@pytest.mark.parametrize("space", ["Linear Rec.2020", "ACEScg"])
def test_there_and_back_is_the_same_and_white_stays_white(monkeypatch, space):
    monkeypatch.setattr(colorspace, "get_working_space", lambda: SPACES[space])
    colors = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    assert np.allclose(colorspace.to_rec709(colorspace.from_rec709(colors)), colors, atol=1e-6)
    assert np.allclose(colorspace.from_rec709(np.ones(3)), 1, atol=1e-4)


def card(scene, engine: str, folder) -> np.ndarray:
    """The colour (3,) on the screen of a frame that the World fills."""
    scene.render.engine = engine
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.render.dither_intensity = 0
    stage.set_format(scene, "PNG", "16")
    scene.render.filepath = str(folder / f"{engine}.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    image.colorspace_settings.name = "Non-Color"
    return np.array(image.pixels[:3])


@pytest.mark.parametrize("color", [(0.18, 0.18, 0.18), SATURATED], ids=["grey", "saturated"])
@pytest.mark.parametrize("transform", ["Standard", "AgX"])
@pytest.mark.parametrize("space", ["Linear Rec.709", pytest.param("Linear Rec.2020", marks=needs_working_space),
                                   pytest.param("ACEScg", marks=needs_working_space)])
def test_cards_look_as_in_cycles(tmp_path, color, transform, space):
    scene = stage.make_stage(16, 12)
    scene.view_settings.view_transform = transform
    stage.set_color(scene.world, color)
    if space != "Linear Rec.709":
        bpy.ops.wm.set_working_color_space(working_space=space)
    assert np.abs(card(scene, "NEAR", tmp_path) - card(scene, "CYCLES", tmp_path)).max() < 1e-3


def read_map() -> np.ndarray:
    """What lights the scene, once it is read."""
    while not isinstance(light := world.read_light(bpy.context.evaluated_depsgraph_get()), WorldLight):
        assert light.wait(120)
    return light.environment.map


@needs_working_space
def test_images_and_bakes_arrive_in_rec709():
    scene = stage.make_stage()
    stage.set_environment(scene.world)
    before = read_map()
    bpy.ops.wm.set_working_color_space(working_space="Linear Rec.2020")
    bpy.data.images["forest.exr"].reload()
    after = read_map()
    assert np.allclose(after, before, rtol=2e-3, atol=2e-3)
    stage.set_environment(scene.world)["Mapping"].inputs["Location"].default_value = (0, 0, 1e-6)  # only Cycles can
    baked = read_map()
    assert np.median(np.abs(baked - before) / (before + 1e-2)) < 0.01


def test_base_color_pass_is_the_assets(ball, tmp_path):
    scene = stage.make_stage()
    stage.add_asset(ball)
    stage.show_every_pass(scene.view_layers[0])
    if bpy.app.version >= (5, 0, 0):
        bpy.ops.wm.set_working_color_space(working_space="Linear Rec.2020")
    passes = stage.render(scene, tmp_path)
    wanted = colorspace.from_rec709(np.array([0.8, 0.1, 0.1]))  # a multilayer file keeps the working space
    assert np.allclose(passes["Base Color"][24, 32], wanted, atol=0.03)
