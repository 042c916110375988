"""Scenes as artists build them, against what Cycles shows of the proxies: cameras, instances, assets in each other."""

import math

import bpy
import numpy as np
import pytest
import stage

SEES_INTO = 0.12  # a surface lets a tenth of what lies inside of its asset through, less where it is many pixels wide


@pytest.fixture
def scene():
    scene = stage.make_stage(96, 72)
    scene.render.film_transparent = True
    return scene


def alpha(scene, folder, engine: str) -> np.ndarray:
    scene.render.engine = engine
    if engine == "CYCLES":
        scene.cycles.samples, scene.cycles.use_denoising = 16, False
    return stage.render(scene, folder, engine.lower())["Combined"][..., 3]


def moments(picture: np.ndarray) -> np.ndarray:
    """Root of the area, middle x and y, spread along x and y of an alpha (H, W), all in pixels."""
    y, x = np.mgrid[:picture.shape[0], :picture.shape[1]]
    area = picture.sum()
    middle = [(picture * axis).sum() / area for axis in (x, y)]
    spread = [math.sqrt((picture * (axis - m) ** 2).sum() / area) for axis, m in zip((x, y), middle)]
    return np.array([math.sqrt(area), *middle, *spread])


def assert_same_silhouette(scene, folder) -> None:
    """What both engines show has the same place, size and proportions: the proxy lies within half a voxel."""
    near, cycles = (alpha(scene, folder, engine) for engine in ("NEAR", "CYCLES"))
    assert 0.02 < cycles.mean() < 0.9, "there is something to compare"
    off = np.abs(moments(near) - moments(cycles))
    assert (off < (0.8, 0.25, 0.25, 0.3, 0.3)).all(), off


def shift(scene):
    scene.camera.data.shift_x, scene.camera.data.shift_y = 0.15, -0.1


def vertical_fit(scene):
    scene.camera.data.sensor_fit, scene.camera.data.sensor_height = "VERTICAL", 20


def wide_pixels(scene):
    scene.render.pixel_aspect_x = 1.7


def tall_pixels_and_everything(scene):
    scene.render.pixel_aspect_y = 1.4
    scene.render.resolution_percentage = 130
    shift(scene)
    scene.camera.data.sensor_fit = "HORIZONTAL"
    scene.camera.rotation_euler.y = 0.4
    scene.camera.scale = 2, 1, 0.5


def border(scene):
    shift(scene)
    scene.render.use_border = True
    scene.render.border_min_x, scene.render.border_max_y = 0.31, 0.67


def portrait(scene):
    scene.render.resolution_x, scene.render.resolution_y = 60, 110


@pytest.mark.parametrize("kind", ["PERSP", "ORTHO"])
@pytest.mark.parametrize("change", [shift, vertical_fit, wide_pixels, tall_pixels_and_everything, border, portrait])
def test_cameras_see_what_cycles_sees(scene, ball, tmp_path, kind, change):
    stage.add_asset(ball, location=(0.2, 0.1, 0.1)).scale = 1, 0.8, 1.2
    scene.camera.data.type, scene.camera.data.ortho_scale = kind, 3.5
    change(scene)
    assert_same_silhouette(scene, tmp_path)


def instances_on_vertices(scene, ob):
    mesh = bpy.data.meshes.new("Two")
    mesh.from_pydata([(-0.7, 0, 0), (0.7, 0, 0.3)], [], [])
    scene.collection.objects.link(parent := bpy.data.objects.new("Two", mesh))
    ob.parent, parent.instance_type = parent, "VERTS"


def collection_instance(scene, ob):
    collection = bpy.data.collections.new("Kept")
    collection.objects.link(ob)
    scene.collection.objects.unlink(ob)
    empty = bpy.data.objects.new("Instance", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", collection
    empty.location, empty.rotation_euler, empty.scale = (0.5, 0, 0.2), (0.5, 0.2, 1), (1, -0.6, 1.2)
    scene.collection.objects.link(empty)


def geometry_nodes(scene, ob):
    """Object Info as instance, moved and turned by a Transform node."""
    tree = bpy.data.node_groups.new("Instance", "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    info, move = tree.nodes.new("GeometryNodeObjectInfo"), tree.nodes.new("GeometryNodeTransform")
    out = tree.nodes.new("NodeGroupOutput")
    info.inputs["Object"].default_value, info.inputs["As Instance"].default_value = ob, True
    move.inputs["Translation"].default_value, move.inputs["Scale"].default_value = (0.6, 0, 0.3), (0.7, 0.9, 0.5)
    tree.links.new(info.outputs["Geometry"], move.inputs["Geometry"])
    tree.links.new(move.outputs["Geometry"], out.inputs[0])
    mesh = bpy.data.meshes.new("Holder")
    scene.collection.objects.link(holder := bpy.data.objects.new("Holder", mesh))
    holder.modifiers.new("Nodes", "NODES").node_group = tree


@pytest.mark.parametrize("build", [instances_on_vertices, collection_instance, geometry_nodes])
def test_instances_stand_where_cycles_has_them(scene, ball, tmp_path, build):
    stage.turn_around(scene.camera, 0, distance=6)
    build(scene, stage.add_asset(ball))
    assert_same_silhouette(scene, tmp_path)


def test_assets_in_each_other_hide_what_lies_deeper(scene, ball, tmp_path):
    """Each pixel shows the colour of the asset that is nearer there."""
    one, other = stage.add_asset(ball, "One"), stage.add_asset(ball, "Other", (0.5, -0.1, 0.2))
    other.rotation_euler.z, other.scale = math.pi, (0.8, 1.1, 0.7)  # shows its green back
    scene.view_layers[0].use_pass_z = scene.view_layers[0].near.use_pass_base_color = True
    alone = []
    for hidden in (other, one):
        hidden.hide_render = True
        alone.append(stage.render(scene, tmp_path))
        hidden.hide_render = False
    both = stage.render(scene, tmp_path)
    depths = [picture["Depth"][..., 0] for picture in alone]
    solid = [picture["Combined"][..., 3] > 0.98 for picture in alone]
    for near, far in ((0, 1), (1, 0)):
        sure = solid[near] & solid[far] & (depths[near] < depths[far] - 0.06)
        assert sure.sum() > 30
        shown, own, others = (picture["Base Color"][sure] for picture in (both, alone[near], alone[far]))
        leaked = ((shown - own) * (others - own)).sum(-1) / ((others - own) ** 2).sum(-1)
        assert np.quantile(leaked, 0.95) < SEES_INTO and leaked.min() > -0.02


def test_a_whole_life_keeps_the_picture(scene, ball, tmp_path):
    """Saved, opened, appended to another file, duplicated, deleted, undone."""
    stage.set_environment(scene.world)
    ob = stage.add_asset(ball, "Ball", (0.2, 0.1, 0))
    ob.rotation_euler = 0.2, 0.3, 0.4
    before = stage.render(scene, tmp_path)["Combined"]
    path = str(tmp_path / "a.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "b.blend"))
    bpy.data.objects.remove(bpy.data.objects["Ball"])
    bpy.data.orphans_purge(do_recursive=True)
    bpy.ops.wm.append(directory=f"{path}/Object/", filename="Ball")
    appended = bpy.data.objects["Ball"]
    bpy.context.view_layer.objects.active = appended
    appended.select_set(True)
    bpy.ops.object.duplicate()
    copy = bpy.context.object
    bpy.data.objects.remove(appended)
    bpy.ops.ed.undo_push(message="duplicated")
    copy.select_set(True)
    bpy.ops.object.delete()
    bpy.ops.ed.undo_push(message="deleted")
    bpy.ops.ed.undo()
    assert np.array_equal(stage.render(bpy.context.scene, tmp_path)["Combined"], before)
