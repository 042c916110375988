"""Skins in the place of proxies: which objects get one, and that mirrors and shadows show them."""

from dataclasses import replace

import bpy
import numpy as np
import pytest
import stage

from near_blender.client import client
from near_blender.cycles import scene as cycles_scene
from near_blender.cycles import skins as cycles_skins
from near_core.asset import Skin, SkinMaterial


@pytest.fixture
def thin(ball):
    """The ball, whose skin is no more than an upright red square in its middle."""
    corners = np.float32([[-0.3, 0, -0.3], [0.3, 0, -0.3], [0.3, 0, 0.3], [-0.3, 0, 0.3]])
    plain = SkinMaterial((0.8, 0.0, 0.0, 1.0), 1.0, 0.0, 1.0, ("repeat", "repeat"), (-1, -1, -1, -1))
    skin = Skin(corners, None, np.zeros((4, 2), np.float32), np.float32([[1, 1, 1, 1]] * 4),
                np.int32([[0, 1, 2], [0, 2, 3]]), np.zeros(2, np.int32), (plain,), ())
    return replace(ball, skin=skin)


@pytest.fixture
def scene(thin):
    scene = stage.make_stage(32, 24)
    stage.set_color(scene.world, (0.5, 0.5, 0.5))
    stage.add_asset(thin)
    return scene


def draw(scene) -> np.ndarray:
    state = cycles_scene.capture(bpy.context.evaluated_depsgraph_get())
    return client.get_cycles().draw(state, cycles_scene.describe_camera_object(scene.camera), (32, 24), samples=4,
                                    denoise=False).result()["passes"]["Combined"][..., :3]


def bake_world(folder) -> None:
    world = bpy.context.scene.world
    bpy.data.libraries.write(str(folder / "world.blend"), {world})
    client.get_cycles().bake_world(str(folder / "world.blend"), world.name, frame=1, width=64, seen_width=64, widest=64,
                                   samples=1, lighting=False, painted=[]).result()


def test_what_looks_at_a_proxy_keeps_it(scene, thin):
    assert cycles_skins.list_payloads() == {"Asset": bpy.data.objects["Asset"].near.asset.name_full}
    bent = stage.add_asset(thin, "Bent")
    bent.modifiers.new("Subsurf", "SUBSURF")
    bpy.ops.mesh.primitive_cube_add()
    bpy.context.object.modifiers.new("Boolean", "BOOLEAN").object = bpy.data.objects["Asset"]
    assert cycles_skins.list_payloads() == {}


def test_a_skin_stands_where_the_proxy_does(scene, thin):
    ob = bpy.data.objects["Asset"]
    ob.data.transform(ob.matrix_world.Translation((0, 0, 2)))
    mesh = cycles_skins.Skins(cycles_skins.list_payloads()).find("Asset", ob.data)
    points = np.array([vertex.co for vertex in mesh.vertices])
    assert np.allclose(points.min(0), (-0.45, 0, 1.55), atol=0.01), "1.5 m wide, two metres up"
    assert bpy.data.objects["Asset"].data != mesh, "the artist's file stays as it is"


def test_where_there_are_too_many_skins_proxies_stay(scene, thin, monkeypatch):
    other = stage.add_asset(replace(thin, surfels=replace(thin.surfels, metallic=1 - thin.surfels.metallic)), "Other")
    monkeypatch.setattr(cycles_skins, "MOST_IN_ALL", 3)
    skins = cycles_skins.Skins(cycles_skins.list_payloads())
    first = skins.find("Asset", bpy.data.objects["Asset"].data)
    assert len(first.polygons) == 2 and skins.find("Other", other.data) is None
    assert skins.find("Asset", bpy.data.objects["Asset"].data) == first


def test_cycles_draws_the_skin_until_the_asset_looks_otherwise(scene):
    ob = bpy.data.objects["Asset"]
    ob.material_slots[0].link = "OBJECT"  # an artist's material, or none
    picture = draw(scene)
    assert picture[12, 16, 0] > 10 * picture[12, 16, 1], "red, by the colours of its corners"
    assert np.allclose(picture[12, 10], 0.5, atol=1e-3), "the ball that its proxy is is not there"
    ob.near.look.hue = 0.25
    ob.update_tag()
    assert not np.allclose(draw(scene)[12, 10], 0.5, atol=1e-2), "the proxy, in other colours"
    ob.near.look.hue = 0
    ob.update_tag()
    assert np.allclose(draw(scene), picture, atol=0.02)


def test_a_keyed_look_is_seen_beside_a_world_that_is_baked_for_each_frame(scene, tmp_path):
    """The proxy, which has no user while the skin stands there, outlasts that."""
    ob = bpy.data.objects["Asset"]
    for frame, hue in ((1, 0), (2, 0.25)):
        ob.near.look.hue = hue
        ob.near.look.keyframe_insert("hue", frame=frame)
    scene.frame_set(1)
    draw(scene)
    bake_world(tmp_path)
    scene.frame_set(2)
    assert not np.allclose(draw(scene)[12, 10], 0.5, atol=1e-2), "the proxy, in other colours"


def test_what_glows_lights_what_is_ordinary(thin):
    """By its skin, and by its proxy where that wears a look."""
    scene = stage.make_stage(32, 24)
    stage.set_color(scene.world, (0, 0, 0))
    surfels, skin = thin.surfels, thin.skin
    stage.add_asset(replace(
        thin, surfels=replace(surfels, emission=np.full_like(surfels.base_color, 5)),
        skin=replace(skin, materials=tuple(replace(each, emission=(5, 5, 5)) for each in skin.materials))))
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.7))
    by_skin = draw(scene)
    assert by_skin[12, 16] == pytest.approx(np.full(3, 5), rel=0.05) and (by_skin[20, 14:18] > 0.1).all()
    look = bpy.data.objects["Asset"].near.look
    look.tint = 0, 1, 0
    bpy.data.objects["Asset"].update_tag()
    by_proxy = draw(scene)
    assert by_proxy[12, 16] == pytest.approx((0, 5, 0), rel=0.05)
    assert (by_proxy[20, 14:18, 1] > 0.1).all() and not by_proxy[20, 14:18, 0].any()
