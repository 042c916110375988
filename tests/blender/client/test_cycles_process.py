"""The second Blender: what it draws, that it follows the first one's scene, and that nothing hangs on its life."""

import os
import signal
import time

import bpy
import numpy as np
import pytest
import stage

from near_blender.client import client
from near_blender.cycles import scene as cycles_scene
from near_core import errors
from near_core.image import cryptomatte
from tests.machine import slowness

SIZE = 32, 24
OPTIONS = {"samples": 1, "denoise": False}


@pytest.fixture
def scene():
    """A red cube on the origin, a grey World, a camera on -Y; everything else as the factory has it."""
    scene = stage.make_stage(*SIZE)
    scene.render.engine = "CYCLES"
    stage.set_color(scene.world, (0.5, 0.5, 0.5))
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    material = bpy.data.materials.new("Red")
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (0.8, 0, 0, 1)
    cube.data.materials.append(material)
    return scene


def capture() -> cycles_scene.SceneState:
    return cycles_scene.capture(bpy.context.evaluated_depsgraph_get())


def view(scene) -> dict:
    return cycles_scene.describe_camera_object(scene.camera)


def draw(scene, **options) -> dict[str, np.ndarray]:
    answer = client.get_cycles().draw(capture(), view(scene), SIZE, **OPTIONS, **options).result()
    assert not answer["stale"]
    return answer["passes"]


def test_ordinary_picture_and_its_passes(scene):
    bpy.context.object.pass_index = 3
    passes = draw(scene, passes=["Combined", "Depth", "Normal", "Diffuse Color", "Object Index", "Cryptomatte Object"])
    assert passes["Combined"].shape == (24, 32, 4) and passes["Combined"][12, 16, 0] > 5 * passes["Combined"][12, 16, 1]
    assert passes["Combined"][0, 0] == pytest.approx([0.5, 0.5, 0.5, 1], abs=1e-3)
    assert passes["Depth"][12, 16, 0] == pytest.approx(3, abs=0.2) and passes["Depth"][0, 0, 0] > 1e9
    assert np.allclose(passes["Normal"][12, 16], (0, -1, 0), atol=1e-3)
    assert np.allclose(passes["Diffuse Color"][12, 16], (0.8, 0, 0), atol=0.05)
    assert passes["Object Index"][12, 16, 0] == 3 and passes["CryptoObject00"].any()


def test_proxies_are_unseen_but_shadow(scene):
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -1))
    seen, unseen = draw(scene), draw(scene, proxies=["Cube"])
    assert unseen["Depth"][12, 16, 0] > seen["Depth"][12, 16, 0] + 1
    floor = draw(scene, proxies=["Cube"])["Combined"][23, 16, 0]
    bpy.data.objects["Cube"].hide_render = True
    assert floor < 0.95 * draw(scene)["Combined"][23, 16, 0]


def test_border_is_a_crop(scene):
    whole, part = draw(scene)["Depth"], draw(scene, border=(3, 5, 20, 17))["Depth"]
    assert part.shape == (12, 17, 1)
    assert np.abs(part - whole[5:17, 3:20]).max() < 0.1
    jobs = [client.get_cycles().draw(capture(), view(scene), (64, 48), samples=16, passes=["Combined"], border=border)
            for border in (None, (32, 24, 33, 25), (0, 44, 3, 48))]
    whole, middle, corner = (job.result()["passes"]["Combined"] for job in jobs)  # a denoiser sees enough around
    assert middle == pytest.approx(whole[24:25, 32:33], rel=0.1) and middle[0, 0, 0] > 0.1
    assert corner == pytest.approx(whole[44:, :3], abs=0.02)


def test_what_moved_is_followed_without_a_new_file(scene):
    cube, state = bpy.context.object, capture()
    client.get_cycles().draw(state, view(scene), SIZE, **OPTIONS).result()
    cube.location.x = 100
    again = capture()
    assert again.fields["scene"] == state.fields["scene"]
    assert draw(scene)["Depth"].min() > 1e9
    scene.camera.location.x += 100
    assert draw(scene)["Depth"].min() < 4
    cube.data.vertices[0].co.z += 1
    cube.data.update()
    assert capture().fields["scene"] != state.fields["scene"]


def test_the_same_picture_is_not_drawn_twice(scene):
    def ask():
        return client.get_cycles().draw(capture(), view(scene), SIZE, **dict(OPTIONS, samples=2))
    first = ask().result()["passes"]["Combined"]
    kept = first.copy()
    first[:] = 7
    again = ask()
    assert again.done and np.array_equal(again.result()["passes"]["Combined"], kept)
    again.result()["passes"]["Combined"][:] = 7
    assert np.array_equal(ask().result()["passes"]["Combined"], kept)
    scene.camera.location.x += 0.1
    bpy.context.view_layer.update()
    assert not ask().done


def test_probe_sees_around(scene):
    bpy.context.object.location = 4, 0, 0
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    scene.collection.objects.link(lamp)
    lamp.location, lamp.data.shadow_soft_size = (-3, 0, 0), 1.0
    job = client.get_cycles().probe(capture(), [((0, 0, 0), []), ((0, 0, 0), ["Cube"])], size=(16, 8), **OPTIONS)
    probe, empty = job.result()["probes"]
    assert probe.radiance.shape == (8, 16, 4) and probe.distance.shape == (8, 16)
    assert probe.distance[3:5, 7:9] == pytest.approx(3, rel=0.1), "the middle looks along +X, in metres"
    assert probe.radiance[4, 8, 3] == 1
    assert not probe.radiance[:, :4].any() and np.isinf(probe.distance[:, :4]).all(), "neither lamp nor World"
    assert not empty.radiance.any()


def test_probe_knows_what_is_mirrored(scene):
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    scene.collection.objects.link(lamp)
    for place, metallic in (((4, 0, 0), 1.0), ((0, 4, 0), 0.0)):
        bpy.ops.mesh.primitive_cube_add(location=place)
        material = bpy.data.materials.new("Material")
        material.use_nodes = True
        material.node_tree.nodes["Principled BSDF"].inputs["Metallic"].default_value = metallic
        bpy.context.object.data.materials.append(material)
    job = client.get_cycles().probe(capture(), [((0, 0, 0.5), ["Cube"])], size=(16, 8), **OPTIONS)
    probe, = job.result()["probes"]
    assert probe.mirrored.shape == (8, 16) and probe.mirrored[4, 8] > 0.9 and probe.mirrored[4, 4] < 0.5


def test_holes_leave_what_is_in_front(scene):
    cube = bpy.context.object
    bpy.ops.mesh.primitive_plane_add(size=1, location=(-0.5, -2, 0.5), rotation=(np.pi / 2, 0, 0))
    options = {"proxies": ["Cube"], "holes": [("Cube", np.array(cube.matrix_world))], "transparent": True}
    alpha = draw(scene, **options)["Combined"][..., 3]
    assert alpha[8, 12] == 1, "the plane in front"
    assert alpha[16, 20] == 0 and alpha[0, 31] == 0, "the hole, and nothing"
    picture = draw(scene, proxies=["Cube"])["Combined"]
    assert picture[..., 3].all() and picture[16, 20, :3] == pytest.approx([0.5] * 3, abs=1e-3), "no hole is left behind"


def test_holes_of_one_proxy_may_have_several_sizes(scene):
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 3, 0), rotation=(np.pi / 2, 0, 0))
    holes = [("Cube", np.diag([size, size, size, 1.0])) for size in (0.5, 0.1)]
    alpha = draw(scene, proxies=["Cube"], holes=holes, transparent=True)["Combined"][..., 3]
    assert alpha[12, 16] == 0 and alpha[12, 20] == 0 and alpha[0, 31] == 1


def test_holes_follow_shape_keys_from_frame_to_frame(scene):
    cube = bpy.context.object
    cube.shape_key_add(name="Basis")
    flat = cube.shape_key_add(name="Flat")
    for point in flat.data:
        point.co.x *= 0.1
    for frame in (1, 2):
        flat.value = frame - 1
        flat.keyframe_insert("value", frame=frame)
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 3, 0), rotation=(np.pi / 2, 0, 0))
    alphas = []
    for frame in (1, 2):
        scene.frame_set(frame)
        alphas.append(draw(scene, proxies=["Cube"], holes=[("Cube", np.eye(4))], transparent=True)["Combined"][..., 3])
    assert alphas[0][12, 16] == alphas[1][12, 16] == 0, "a hole in both"
    assert alphas[0][12, 20] == 0 and alphas[1][12, 20] == 1, "a narrow one at last"


def test_occluders_are_what_casts_shadows(scene):
    bpy.context.object.location = 5, 0, 0
    bpy.ops.mesh.primitive_plane_add(location=(0, 0, -1))
    group = bpy.data.collections.new("Group")
    group.objects.link(bpy.data.objects["Cube"])
    twin = bpy.data.objects.new("Twin", None)
    twin.instance_type, twin.instance_collection, twin.location = "COLLECTION", group, (0, 9, 0)
    scene.collection.objects.link(twin)
    job = client.get_cycles().occluders(capture(), proxies=["Plane"])
    found = job.result()["occluders"]
    assert found.faces.shape == (24, 3) and job.warning == ""
    assert set(found.owners) == {"Cube"} and len(found.drop(("Cube", "Lamp")).faces) == 0
    assert np.allclose(found.vertices.min(0), (4, -1, -1)) and np.allclose(found.vertices.max(0), (6, 10, 1))
    job = client.get_cycles().occluders(capture(), proxies=["Plane"], budget=15)
    assert len(job.result()["occluders"].faces) == 15 and "9 triangles" in job.warning


def test_what_nodes_instance_and_what_is_cut_out_casts_its_own_shadow(scene):
    bpy.context.object.location = 5, 0, 0
    group = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    kinds = ("MeshLine", "InstanceOnPoints", "MeshGrid", "SetMaterial")
    line, instance, grid, paint = (group.nodes.new(f"GeometryNode{kind}") for kind in kinds)
    line.inputs["Count"].default_value, line.inputs["Offset"].default_value = 3, (0, 4, 0)
    grid.inputs["Vertices X"].default_value = grid.inputs["Vertices Y"].default_value = 2
    paint.inputs["Material"].default_value = clear = bpy.data.materials.new("Clear")
    clear.use_nodes = True
    for start, end in ((line.outputs[0], instance.inputs["Points"]), (grid.outputs[0], paint.inputs["Geometry"]),
                       (paint.outputs[0], instance.inputs["Instance"]),
                       (instance.outputs[0], group.nodes.new("NodeGroupOutput").inputs[0])):
        group.links.new(start, end)
    host = bpy.data.objects.new("Scatter", bpy.data.meshes.new("Scatter"))
    scene.collection.objects.link(host)
    host.modifiers.new("Nodes", "NODES").node_group = group
    found = client.get_cycles().occluders(capture(), proxies=["Cube"]).result()["occluders"]
    assert found.faces.shape == (6, 3) and set(found.owners) >= {"Scatter"}
    assert np.allclose(np.ptp(found.vertices, 0), (1, 9, 0))
    clear.node_tree.nodes["Principled BSDF"].inputs["Alpha"].default_value = 0.2
    cycles_scene.forget()
    assert not len(client.get_cycles().occluders(capture(), proxies=["Cube"]).result()["occluders"].faces)


def test_particle_hair_casts_shadows(scene):
    bpy.ops.mesh.primitive_plane_add(size=2, location=(0, 0, 3))
    ob = bpy.context.object
    ob.modifiers.new("Hair", "PARTICLE_SYSTEM")
    how = ob.particle_systems[0].settings
    how.type, how.count, how.hair_length, how.root_radius, how.radius_scale = "HAIR", 20, 1.0, 2.0, 0.1
    ob.scale = 1, 1, 2
    found = client.get_cycles().occluders(capture(), proxies=["Cube"]).result()["occluders"]
    assert len(found.faces) > 100 and 3.9 < found.vertices[:, 2].max() < 6 and found.vertices[:, 2].min() > 2.8


def test_hair_casts_shadows_as_wide_as_it_is_thick(scene):
    hair = bpy.data.hair_curves.new("Hair")
    hair.add_curves([3, 2])
    hair.position_data.foreach_set("vector", np.float32([0, 0, 0, 0, 0, 1, 0, 0, 2, 5, 0, 0, 5, 0, 1]))
    hair.attributes.new("radius", "FLOAT", "POINT").data.foreach_set("value", np.full(5, 0.1, np.float32))
    scene.collection.objects.link(bpy.data.objects.new("Hair", hair))
    found = client.get_cycles().occluders(capture(), proxies=["Cube"]).result()["occluders"]
    assert found.faces.shape == (12, 3) and set(found.owners) == {"Hair"}
    assert np.allclose(found.vertices.min(0), (-0.1, -0.1, 0)) and np.allclose(found.vertices.max(0), (5.1, 0.1, 2))
    if found.are_traced:
        start = np.float32([[-1, 0.05, 1.5], [-1, 0.15, 1.5], [5.05, -1, 0.5], [-1, 0, 2.5]])
        way = np.float32([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
        assert found.block(start, way, np.full(4, 9, np.float32)).tolist() == [True, False, True, False]


@pytest.mark.timing
def test_cancel_ends_within_half_a_second_and_the_next_job_works(scene):
    draw(scene)
    before = client.get_cycles().check(60)["pid"]
    job = client.get_cycles().draw(capture(), view(scene), (2000, 2000), samples=1000)
    time.sleep(0.3)
    start = time.monotonic()
    job.cancel()
    with pytest.raises(errors.Cancelled):
        job.result()
    assert time.monotonic() - start < 0.6 * slowness()
    assert client.get_cycles().check(60)["pid"] != before, "another starts without being asked"
    assert draw(scene)["Depth"].min() < 4
    job = client.get_cycles().draw(capture(), view(scene), (2000, 2000), samples=1000)
    time.sleep(0.3)
    while not job.wait(0.02):  # whoever waits for it says so again and again
        job.cancel()
    with pytest.raises(errors.Cancelled):
        job.result()
    thread = client.get_cycles()._thread
    client.get_cycles().stop()
    thread.join(60)
    time.sleep(0.4)
    assert client.get_cycles()._thread is None, "one that was stopped stays so"


def test_killed_second_blender_is_started_again(scene):
    draw(scene)
    os.kill(client.get_cycles().check(60)["pid"], signal.SIGKILL)
    assert draw(scene)["Depth"].min() < 4


def test_the_file_is_not_touched(scene):
    before = bpy.data.is_dirty, bpy.data.filepath, [ob.name for ob in bpy.data.objects], scene.camera.name
    draw(scene)
    assert (bpy.data.is_dirty, bpy.data.filepath, [ob.name for ob in bpy.data.objects], scene.camera.name) == before


def where(scene) -> float:
    """Column of the red cube's middle in a picture, -1 where it is not seen."""
    columns = np.nonzero((draw(scene)["Depth"] < 1e9).any((0, 2)))[0]
    return float(columns.mean()) if len(columns) else -1.0


def test_animation_parents_and_constraints_are_followed(scene):
    cube = bpy.context.object
    cube.scale = 0.2, 0.2, 0.2
    for frame, x in ((1, -1.0), (11, 1.0)):
        cube.location.x = x
        cube.keyframe_insert("location", frame=frame)
    scene.frame_set(1)
    key, left = capture().fields["scene"], where(scene)
    scene.frame_set(11)
    assert left < 12 and where(scene) > 20 and capture().fields["scene"] == key, "its own animation"
    scene.frame_set(6, subframe=0.0)
    assert 13 < where(scene) < 19

    cube.animation_data_clear()
    parent = bpy.data.objects.new("Parent", None)
    scene.collection.objects.link(parent)
    cube.parent, cube.location.x = parent, 0
    goal = bpy.data.objects.new("Goal", None)
    scene.collection.objects.link(goal)
    parent.constraints.new("COPY_LOCATION").target = goal
    key = capture().fields["scene"]
    for x in (-1, 1):
        goal.location.x = x
        bpy.context.view_layer.update()
        assert (where(scene) - 15.5) * x > 4
    assert capture().fields["scene"] == key


@pytest.mark.parametrize("shear,hangs,called", [(0.1, False, ""), (0.1, True, "Root"), (0, False, "Cube"),
                                                (0, True, "Root")])
def test_a_pose_that_the_second_blender_cannot_reach_is_forced(scene, shear, hangs, called):
    """called: what Cryptomatte then calls it, the name of its topmost parent."""
    cube, root = bpy.context.object, bpy.data.objects.new("Root", None)
    scene.collection.objects.link(root)
    root.scale = 1, 2, 0.5
    cube.parent = root if hangs else None
    state = capture()
    names, matrices = state.fields["names"], state.fields["matrices"].copy()
    matrices[names.index("Cube")] = [[0.2, shear, 0, 1], [0, 0.2, 0, 0], [0, 0, 0.2, 0], [0, 0, 0, 1]]
    cube.keyframe_insert("location", frame=1)
    state = capture()
    forced = cycles_scene.SceneState(state.fields | {"matrices": matrices}, state.needs)
    answer = client.get_cycles().draw(forced, view(scene), SIZE, passes=["Depth", "Cryptomatte Asset"],
                                      **OPTIONS).result()
    seen = answer["passes"]["Depth"][..., 0] < 1e9
    assert not answer["stale"] and np.nonzero(seen.any(0))[0].mean() > 20
    ids = answer["passes"]["CryptoAsset00"][seen][:, 0]
    assert not called or np.isin(cryptomatte.compute_id(called), ids)


def test_objects_that_hang_on_each_other_are_drawn(scene):
    cube = bpy.context.object
    cube.location.x = 1
    bpy.ops.mesh.primitive_cube_add(location=(0, 3, 0))
    for one, other in ((cube, bpy.context.object), (bpy.context.object, cube)):
        follow = one.constraints.new("COPY_LOCATION")
        follow.target, follow.influence = other, 0.5
    assert draw(scene)["Combined"].any()


def test_what_is_not_there_is_stale(scene):
    state = capture()
    fields = state.fields | {"names": [*state.fields["names"][:-1], "Nobody"]}
    job = client.get_cycles().draw(cycles_scene.SceneState(fields, state.needs), view(scene), SIZE, **OPTIONS)
    assert job.result()["stale"]


@pytest.mark.parametrize("instanced", [False, True])
def test_probe_sees_shadow_catchers_and_what_the_camera_does_not(scene, instanced):
    cube = bpy.context.object
    cube.location, cube.is_shadow_catcher, cube.visible_camera = (4, 0, 0), True, False
    if instanced:
        kept, shown = bpy.data.collections.new("Kept"), bpy.data.objects.new("Shown", None)
        scene.collection.objects.unlink(cube)
        kept.objects.link(cube)
        shown.instance_type, shown.instance_collection = "COLLECTION", kept
        scene.collection.objects.link(shown)
    job = client.get_cycles().probe(capture(), [((0, 0, 0), [])], size=(16, 8), **OPTIONS)
    assert job.result()["probes"][0].radiance[4, 8, 3] == 1
    assert draw(scene, transparent=True)["Combined"][..., :3].max() == 0
