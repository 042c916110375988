"""What holdouts leave of the data passes, beside Cycles with a sphere in the ball's place."""

import bpy
import numpy as np
import pytest
import stage

PASSES = ("Depth", "Normal", "Position", "Object Index", "Material Index", "CryptoObject00", "Diffuse Color", "Vector")
LIGHT = ("Diffuse Direct", "Diffuse Indirect", "Glossy Direct", "Glossy Indirect", "Glossy Color")


@pytest.fixture
def scene(ball):
    """A ball that is a holdout, and one behind it to the side."""
    scene = stage.make_stage()
    for number, (name, place) in enumerate((("Held", (0, 0, 0)), ("Other", (0.6, 1, 0)))):
        ob = stage.add_asset(ball, name, place)
        ob.is_holdout, ob.pass_index = not number, number + 1
    scene.render.film_transparent = True
    scene.near.samples, scene.near.denoise = 16, False
    layer = scene.view_layers[0]
    for name in ("z", "normal", "position", "object_index", "material_index", "cryptomatte_object", "diffuse_color",
                 "vector", *(name.lower().replace(" ", "_") for name in LIGHT)):
        setattr(layer, f"use_pass_{name}", True)
    return scene


def add_floor() -> None:
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.7))


def tidy(made: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Normals of length 1, which Cycles has at no edge, and no ids of what hardly covers anything."""
    ranks = made["CryptoObject00"]
    ranks[..., :2] *= ranks[..., 1:2] > 0.1
    ranks[..., 2:] *= ranks[..., 3:] > 0.1
    made["Normal"] /= np.maximum(np.linalg.norm(made["Normal"], axis=-1, keepdims=True), 1e-6)
    return made


def compare(scene, folder, held: str) -> None:
    made = tidy(stage.render(scene, folder))
    for name in ("Held", "Other"):
        ob = bpy.data.objects[name]
        bpy.ops.mesh.primitive_uv_sphere_add(radius=0.675, segments=64, ring_count=32, location=ob.location)
        bpy.ops.object.shade_smooth()
        other = bpy.context.object
        ob.hide_render, other.is_holdout, other.pass_index = True, ob.is_holdout, ob.pass_index
        ob.name, other.name = f"{name} asset", name
        material = bpy.data.materials.new(name)
        material.use_nodes = True
        material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = 0.8, 0.1, 0.1, 1
        other.data.materials.append(material)
        if material.pass_index == 0:
            material.pass_index = ob.active_material.pass_index
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 16, False
    truth = tidy(stage.render(scene, folder, "truth"))
    hole = (truth["Combined"][..., 3] < 0.01) & (truth["Depth"][..., 0] > 1e9)
    assert hole.sum() > 100 and (made["Combined"][hole][:, 3] < 0.05).mean() > 0.95, held
    inner = hole & np.roll(hole, 2, 0) & np.roll(hole, -2, 0) & np.roll(hole, 2, 1) & np.roll(hole, -2, 1)
    solid = (made["Combined"][..., 3] > 0.99) & (truth["Combined"][..., 3] > 0.99)
    assert inner.sum() > 50 and solid.sum() > 100
    for name in LIGHT:
        assert truth[name][inner].max() == 0 and made[name][inner].max() < 0.01, name
    for name in PASSES:
        assert np.abs(made[name][inner] - truth[name][inner]).max() < 0.01, name
        off = np.abs(made[name] - truth[name]) > 0.05 * np.abs(truth[name]).clip(1)
        assert off.any(-1)[solid].mean() < 0.05, name


@pytest.mark.parametrize("among", [False, True])
def test_a_held_asset_has_no_data(scene, tmp_path, among):
    if among:
        add_floor()
    compare(scene, tmp_path, "asset")


def test_a_held_cube_before_an_asset_has_none(scene, tmp_path):
    bpy.data.objects["Held"].is_holdout = False
    bpy.ops.mesh.primitive_cube_add(size=0.6, location=(0, -1, 0))
    bpy.context.object.is_holdout = True
    add_floor()
    compare(scene, tmp_path, "cube")
