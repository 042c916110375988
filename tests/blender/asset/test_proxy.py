"""The proxy looks like its asset in other engines, and the asset stands where its proxy does."""

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from near_blender.asset import payload, proxy
from near_core import asset as assets


@pytest.fixture
def ob(ball) -> bpy.types.Object:
    """The ball's proxy, selected and active."""
    ob = proxy.build(ball, "Ball")
    payload.attach(ob, assets.to_bytes(ball))
    bpy.context.scene.collection.objects.link(ob)
    ob.select_set(True)
    bpy.context.view_layer.objects.active = ob
    return ob


def frame(ob: bpy.types.Object) -> np.ndarray:
    """The asset's frame in the world, from the evaluated object."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    evaluated = ob.evaluated_get(depsgraph)
    return proxy.compute_asset_matrix(evaluated, np.array(evaluated.matrix_world))


def test_its_surface_has_the_assets_size(ob, ball):
    radius = np.array([v.co.length for v in ob.data.vertices])
    assert np.abs(radius - 0.45 * ball.extent).max() < ball.extent / 128
    assert len(ob.data.polygons) <= 60_000 and all(p.use_smooth for p in ob.data.polygons)
    assert not ob.data.validate(verbose=True)


def test_the_frame_of_an_untouched_proxy_is_the_object_and_the_extent(ob, ball):
    ob.matrix_world = Matrix.LocRotScale((1, -2, 3), Matrix.Rotation(0.5, 3, "Y").to_quaternion(), (1, -2, 0.5))
    bpy.context.view_layer.update()
    expected = np.array(ob.matrix_world) @ np.diag([ball.extent] * 3 + [1])
    assert np.allclose(frame(ob), expected, atol=1e-5)


@pytest.mark.parametrize("edit", [
    lambda: bpy.ops.object.transform_apply(location=True, rotation=True, scale=True),
    lambda: bpy.ops.object.origin_set(type="ORIGIN_GEOMETRY"),
    lambda: bpy.ops.object.origin_set(type="ORIGIN_CURSOR"),
    lambda: bpy.ops.object.modifier_add(type="SUBSURF"),
    lambda: bpy.ops.object.shade_flat(),
], ids=["apply transform", "origin to geometry", "origin to cursor", "subdivision", "flat shading"])
def test_edits_that_move_nothing_keep_the_frame(ob, edit):
    ob.location, ob.rotation_euler, ob.scale = (1, 2, 3), (0.3, -0.4, 2), (2, 1, -0.5)
    bpy.context.scene.cursor.location = (-3, 0.5, 8)
    before = frame(ob)
    edit()
    assert np.allclose(frame(ob), before, atol=2e-5)


def test_moving_all_vertices_in_edit_mode_moves_the_asset(ob, ball):
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.transform.translate(value=(0, 0, 2))
    bpy.ops.transform.resize(value=(1, 1, 3))
    expected = np.diag([ball.extent, ball.extent, 3 * ball.extent, 1])
    for mode in ("EDIT", "OBJECT"):
        bpy.ops.object.mode_set(mode=mode)
        made = frame(ob)
        assert np.allclose(made[:3, :3], expected[:3, :3], atol=1e-4) and made[2, 3] == pytest.approx(2, abs=1e-3)
    

def test_pulling_one_vertex_hardly_moves_the_frame(ob):
    before = frame(ob)
    ob.data.vertices[0].co *= 1.5
    assert np.allclose(frame(ob), before, atol=0.02)


def test_flattening_is_an_affine_edit(ob):
    for vertex in ob.data.vertices:
        vertex.co.z = 0
    assert abs(np.linalg.det(frame(ob))) < 1e-6


@pytest.mark.parametrize("spoil", [
    lambda ob: ob.data.attributes.remove(ob.data.attributes[proxy.REST]),
    lambda ob: ob.data.clear_geometry(),
], ids=["no rest positions", "no vertices"])
def test_a_proxy_that_lost_its_rest_shape_still_has_a_frame(ob, ball, spoil):
    spoil(ob)
    assert np.allclose(frame(ob), np.diag([ball.extent] * 3 + [1]))


def test_vertices_that_are_no_numbers_move_nothing(ob):
    ob.data.transform(Matrix.Translation((1, 2, 3)))
    whole = frame(ob)
    ob.data.vertices[5].co.x = float("nan")
    assert np.allclose(frame(ob), whole, atol=1e-4)


def test_cycles_shows_the_assets_colors(ob, tmp_path):
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    scene.camera.location, scene.camera.rotation_euler = (0, -4, 0), (np.pi / 2, 0, 0)
    scene.world = bpy.data.worlds.new("White")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    ob.active_material.node_tree.nodes["Principled BSDF"].inputs["Specular IOR Level"].default_value = 0
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 16, False
    scene.render.resolution_x = scene.render.resolution_y = 32
    scene.view_settings.view_transform = "Raw"
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.filepath = str(tmp_path / "ball.exr")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    picture = np.array(image.pixels).reshape(32, 32, -1)
    assert np.allclose(picture[14:18, 14:18, :3].mean((0, 1)), (0.8, 0.1, 0.1), atol=0.05), "red in front"


def test_the_viewport_gets_mean_values(ob):
    material = ob.active_material
    assert material.roughness == pytest.approx(0.3, abs=1e-3) and material.metallic == pytest.approx(0, abs=1e-3)
    assert np.allclose(material.diffuse_color[:3], (0.45, 0.35, 0.1), atol=0.02)
    assert ob.data.color_attributes.active_color.name == proxy.COLOR


def test_the_preview_is_the_thumbnail(ob):
    assert ob.preview.is_image_custom and tuple(ob.preview.image_size) == (48, 32)
    pixels = np.array(ob.preview.image_pixels_float).reshape(32, 48, 4)
    assert pixels[0, 0, 0] == 1 and pixels[-1, 0, 0] == 0, "white below, black above"
