"""Cameras against what Blender itself projects."""

import bpy
import numpy as np
import pytest
import stage
from mathutils import Matrix

from near_blender.scene import sync
from near_core.errors import NearError


@pytest.fixture
def camera():
    ob = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    bpy.context.scene.collection.objects.link(ob)
    bpy.context.scene.camera = ob
    return ob


def project(camera, points: np.ndarray) -> np.ndarray:
    """World points (K, 3) -> pixels (K, 2) by near_core's convention."""
    p = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    xy = p[:, :2] if camera.orthographic else p[:, :2] / p[:, 2:]
    return xy @ camera.intrinsics[:2, :2].T + camera.intrinsics[:2, 2]


def project_by_blender(window: np.ndarray, view: np.ndarray, points: np.ndarray, width: int, height: int) -> np.ndarray:
    clip = np.concatenate([points, np.ones((len(points), 1))], 1) @ (window @ view).T
    ndc = clip[:, :2] / clip[:, 3:]
    return np.stack([(ndc[:, 0] + 1) / 2 * width, (1 - ndc[:, 1]) / 2 * height], 1)


def randomize(ob: bpy.types.Object, rng: np.random.Generator, number: int) -> tuple[int, int, tuple[float, float]]:
    """Sets every value of a camera that moves a projection; returns width, height and pixel aspect."""
    data = ob.data
    data.type = "ORTHO" if number % 4 == 3 else "PERSP"
    data.sensor_fit = ("AUTO", "HORIZONTAL", "VERTICAL")[rng.integers(3)]
    data.lens, data.sensor_width, data.sensor_height = rng.uniform(15, 120), *rng.uniform(10, 50, 2)
    data.ortho_scale, (data.shift_x, data.shift_y) = rng.uniform(1, 9), rng.uniform(-0.4, 0.4, 2)
    ob.location, ob.rotation_euler, ob.scale = rng.uniform(-3, 3, 3), rng.uniform(-3, 3, 3), rng.uniform(0.5, 2, 3)
    return *(int(n) for n in rng.integers(40, 2000, 2)), ((1, 1), (1.5, 1), (1, 1.3))[number % 3]


def points_before(ob: bpy.types.Object, rng: np.random.Generator) -> np.ndarray:
    depth = rng.uniform(1, 20, 5)
    local = np.stack([*rng.uniform(-0.3, 0.3, (2, 5)) * depth, -depth, np.ones(5)], 1)
    return (local @ np.array(ob.matrix_world.normalized()).T)[:, :3]


def test_random_cameras_project_as_blender_does(camera):
    rng, worst = np.random.default_rng(0), 0.0
    for number in range(300):
        width, height, aspect = randomize(camera, rng, number)
        bpy.context.view_layer.update()
        depsgraph = bpy.context.evaluated_depsgraph_get()
        ours = sync.convert_camera(camera.data, np.array(camera.matrix_world), width, height, aspect)
        points = points_before(camera, rng)
        window = camera.calc_matrix_camera(depsgraph, x=width, y=height, scale_x=aspect[0], scale_y=aspect[1])
        view = np.array(camera.matrix_world.normalized().inverted())
        theirs = project_by_blender(np.array(window), view, points, width, height)
        worst = max(worst, np.abs(project(ours, points) - theirs).max() / max(width, height))
    assert worst < 2e-5, f"{worst:.1e} of the long side"


def test_random_viewports_project_as_blender_does(camera):
    rng = np.random.default_rng(1)
    for number in range(100):
        width, height, aspect = randomize(camera, rng, number)
        bpy.context.view_layer.update()
        depsgraph = bpy.context.evaluated_depsgraph_get()
        window = np.array(camera.calc_matrix_camera(depsgraph, x=width, y=height, scale_x=aspect[0], scale_y=aspect[1]))
        view = np.array(camera.matrix_world.normalized().inverted())
        ours = sync.convert_projection(window, view, width, height)
        points = points_before(camera, rng)
        assert np.abs(project(ours, points) - project_by_blender(window, view, points, width, height)).max() < 1e-2
        clip = (ours.near, ours.far) if not ours.orthographic else (camera.data.clip_start,) * 2
        assert np.allclose(clip[0], camera.data.clip_start, rtol=1e-3)


def test_orthographic_viewport_shows_what_lies_behind_its_eye():
    window = np.array(Matrix.Diagonal((0.5, 0.5, -1 / 100, 1)))  # clip from -100 to 100
    camera = sync.convert_projection(window, np.eye(4), 100, 100)
    behind = np.array([[0.0, 0.0, 50.0]])
    depth = behind @ camera.world_to_camera[2, :3] + camera.world_to_camera[2, 3]
    assert camera.near <= depth[0] <= camera.far


def test_panoramic_camera_is_refused_in_words(camera):
    camera.data.type = "PANO"
    with pytest.raises(NearError, match="Perspective or Orthographic"):
        sync.convert_camera(camera.data, np.eye(4), 100, 100)


def test_the_filter_is_as_wide_as_the_scene_says():
    frame = bpy.context.scene
    own = getattr(frame, "cycles", None)
    if own is None:
        frame.render.filter_size = 0.75
    else:
        own.filter_width = 0.75
    try:
        assert sync.find_filter_width(frame) == 0.75
    finally:
        (frame.render if own is None else own).property_unset("filter_size" if own is None else "filter_width")


def test_light_goes_on_as_often_as_in_cycles():
    frame = bpy.context.scene
    own = getattr(frame, "cycles", None)
    if own is None:
        assert sync.count_bounces(frame) == {}
        return
    try:
        own.max_bounces, own.diffuse_bounces, own.glossy_bounces = 2, 3, 0
        assert sync.count_bounces(frame) == {"diffuse_bounces": 2, "glossy_bounces": 0}
    finally:
        for name in ("max_bounces", "diffuse_bounces", "glossy_bounces"):
            own.property_unset(name)


def test_a_crowd_has_its_problem_once(ball):
    """Flat instances of one asset."""
    scene, crowd = stage.make_stage(), bpy.data.collections.new("Crowd")
    flat = stage.add_asset(ball)
    crowd.objects.link(flat)
    scene.collection.objects.unlink(flat)
    flat.scale.x = 0
    for number in range(3):
        place = bpy.data.objects.new(f"Place {number}", None)
        place.instance_type, place.instance_collection = "COLLECTION", crowd
        scene.collection.objects.link(place)
    found = sync.collect_assets(bpy.context.evaluated_depsgraph_get())
    assert len(found.instances) == 3 and len(found.problems) == 1


def scatter(target, source, realizes: bool) -> None:
    """An object's points each get an instance of another, by Geometry Nodes."""
    tree = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    start, info, points, realized, end = (tree.nodes.new(kind) for kind in (
        "NodeGroupInput", "GeometryNodeObjectInfo", "GeometryNodeInstanceOnPoints", "GeometryNodeRealizeInstances",
        "NodeGroupOutput"))
    info.inputs["Object"].default_value, info.inputs["As Instance"].default_value = source, True
    tree.links.new(start.outputs[0], points.inputs["Points"])
    tree.links.new(info.outputs["Geometry"], points.inputs["Instance"])
    tree.links.new(points.outputs[0], realized.inputs[0])
    tree.links.new((realized if realizes else points).outputs[0], end.inputs[0])
    target.modifiers.new("Scatter", "NODES").node_group = tree


@pytest.mark.parametrize("realizes", [False, True])
def test_assets_that_another_object_realizes_are_told(ball, realizes):
    stage.make_stage()
    asset = stage.add_asset(ball)
    bpy.ops.mesh.primitive_plane_add(size=4)
    scatter(bpy.context.object, asset, realizes)
    found = sync.collect_assets(bpy.context.evaluated_depsgraph_get())
    assert len(found.instances) == (1 if realizes else 5) and len(found.problems) == realizes
    assert not realizes or "Plane" in found.problems[0] and "proxies" in found.problems[0]
