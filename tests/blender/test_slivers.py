"""Faces that pixels' middles miss: where they lie, and what is not looked at."""

import bpy
import numpy as np

from near_blender import slivers
from near_core.scene import camera

VIEW = camera.orbit(0, 0, 4, 90, 64, 48)  # 24 pixels to one at depth 1


def mark(corners: list[tuple[float, float, float]], view: camera.Camera = VIEW) -> np.ndarray:
    """How near a face is, (48, 64), before an asset at 4 m that fills rows and columns 8 to 40."""
    depth, nearest = (np.full((48, 64), np.inf, np.float32) for _ in range(2))
    depth[8:40, 8:40] = 4
    count = len(corners)
    slivers.mark(np.float32(corners), np.arange(count), np.zeros(1, int), view, depth, nearest)
    return nearest


def find(away: float = 4) -> tuple[np.ndarray, np.ndarray]:
    """What lies before an asset so far away that fills the picture."""
    depth = np.full((48, 64), away, np.float32)
    return slivers.measure_nearest(bpy.context.evaluated_depsgraph_get(), VIEW, depth)


def upright(width: float, y: float) -> list[tuple[float, float, float]]:
    return [(0, y, -3), (width, y, -3), (width, y, 3), (0, y, 3)]


def test_a_narrow_face_is_where_it_is_seen():
    found = mark(upright(0.02, -2))  # 0.24 pixels at 2 m
    rows, columns = np.nonzero(np.isfinite(found))
    assert set(columns) == {32} and set(rows) == set(range(48)) and np.allclose(found[rows, columns], 2)
    leaning = mark([(0.5, -3, 0.4), (0.5, -3, 0.41), (-0.5, -1, 0.41), (-0.5, -1, 0.4)])
    assert leaning[np.isfinite(leaning)].min() < 1.2 and leaning[np.isfinite(leaning)].max() > 2.8
    assert np.isfinite(mark([(0, -2, 0), (0.02, -2, 0), (0.01, -2, 1)])).any()


def test_what_is_wide_or_behind_or_beside_or_around_the_camera_is_left_out():
    for corners in (upright(0.5, -2), upright(0.02, 1), [(x + 2.2, y, z) for x, y, z in upright(0.02, -2)],
                    [(0, -5, 0), (0.02, -5, 0), (0.02, -2, 0), (0, -2, 0)], upright(np.nan, -2)):
        assert np.isinf(mark(corners)).all()


def test_things_beyond_a_number_of_faces_are_boxes(monkeypatch):
    bpy.context.scene.render.engine = "CYCLES"
    for y in (-2, -1.5, 3):
        bpy.ops.mesh.primitive_cube_add(size=0.01, location=(0, y, 0))
    nearest, left = find()
    assert np.isclose(nearest.min(), 1.995) and left.shape == (0, 8, 3)
    monkeypatch.setattr(slivers, "MOST_FACES", 6)
    nearest, left = find()
    assert left.shape == (1, 8, 3) and np.isfinite(nearest).any(), "the one behind is not looked at at all"
    bpy.data.objects["Cube"].visible_camera = False
    assert np.isclose(find()[0].min(), 2.495)


def test_curves_texts_and_what_geometry_nodes_end_in_are_looked_at_once(monkeypatch):
    bpy.ops.mesh.primitive_cube_add(size=0.01, location=(0, -2, 0))
    tree = bpy.data.node_groups.new("Wires", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    nodes = [tree.nodes.new(kind) for kind in ("NodeGroupInput", "GeometryNodeMeshToCurve", "NodeGroupOutput")]
    for one, other in zip(nodes, nodes[1:]):
        tree.links.new(one.outputs[0], other.inputs[0])
    bpy.context.object.modifiers.new("Wires", "NODES").node_group = tree
    bpy.ops.curve.primitive_bezier_circle_add(radius=0.1, location=(0, -1, 0), rotation=(np.pi / 2, 0, 0))
    assert np.isinf(find()[0]).all(), "neither has faces"
    bpy.context.object.data.bevel_depth = 0.001
    for add, y in ((bpy.ops.object.text_add, -3), (bpy.ops.surface.primitive_nurbs_surface_sphere_add, -2.5),
                   (bpy.ops.object.metaball_add, -2.4)):
        add(location=(0, y, 0))
        bpy.context.object.scale = (0.01,) * 3
    seen: list[int] = []
    monkeypatch.setattr(slivers, "mark", lambda points, *others: seen.append(int(points[:, 1].mean().round())))
    find()
    assert sorted(seen) == [-3, -2, -2, -1]
