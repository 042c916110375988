"""Faces that pixels' middles miss: where they lie, and what is not looked at."""

import time
from dataclasses import replace

import bpy
import numpy as np
import pytest

from near_blender.engine import slivers
from near_core.scene import camera
from tests.machine import slowness

VIEW = camera.orbit(0, 0, 4, 90, 64, 48)  # 32 pixels to one at depth 1


def mark(corners: list[tuple[float, float, float]], view: camera.Camera = VIEW) -> np.ndarray:
    """How near a face is, (48, 64), before an asset at 4 m that fills rows and columns 8 to 40."""
    depth, nearest = (np.full((48, 64), np.inf, np.float32) for _ in range(2))
    depth[8:40, 8:40] = 4
    window = slivers.Window.open(view, depth)
    slivers.mark(slivers.find_edges(np.float32(corners), np.arange(len(corners)), np.zeros(1, int), window), window,
                 nearest)
    return nearest


def find(away: float = 4) -> tuple[np.ndarray, np.ndarray]:
    """What lies before an asset so far away that fills the picture."""
    depth = np.full((48, 64), away, np.float32)
    return slivers.find(bpy.context.evaluated_depsgraph_get(), VIEW, depth)


def upright(width: float, y: float) -> list[tuple[float, float, float]]:
    return [(0, y, -3), (width, y, -3), (width, y, 3), (0, y, 3)]


def test_a_narrow_face_is_where_it_is_seen():
    found = mark(upright(0.02, -2))  # 0.32 pixels at 2 m
    rows, columns = np.nonzero(np.isfinite(found))
    assert set(columns) == {32} and set(range(8, 40)) <= set(rows) <= set(range(7, 41))
    assert np.allclose(found[rows, columns], 2)
    flat = replace(VIEW, orthographic=True, intrinsics=np.array([[10, 0, 32], [0, 10, 24], [0, 0, 1.0]]))
    assert set(np.nonzero(np.isfinite(mark(upright(0.02, -2), flat)))[1]) == {32}
    assert np.isinf(mark(upright(0.2, -2), flat)).all()
    leaning = mark([(0.5, -3, 0.4), (0.5, -3, 0.41), (-0.5, -1, 0.41), (-0.5, -1, 0.4)])
    assert leaning[np.isfinite(leaning)].min() < 1.4 and leaning[np.isfinite(leaning)].max() > 2.8
    assert np.isfinite(mark([(0, -2, 0), (0.02, -2, 0), (0.01, -2, 1)])).any()


def test_what_is_wide_or_behind_or_beside_is_left_out():
    for corners in (upright(0.5, -2), upright(0.02, 1), [(x + 2.2, y, z) for x, y, z in upright(0.02, -2)],
                    upright(0.02, -6), upright(np.nan, -2)):
        assert np.isinf(mark(corners)).all()


@pytest.mark.parametrize("width, rows", [(0.02, range(26, 40)), (0.1, range(26, 28))])
def test_a_rail_from_behind_the_camera_is_marked_where_it_is_narrow(width, rows):
    rail = [(0, -9, -0.3), (width, -9, -0.3), (width, -0.5, -0.3), (0, -0.5, -0.3)]
    for corners in (rail, rail[1:] + rail[:1], rail[::-1]):
        row, column = np.nonzero(np.isfinite(found := mark(corners)))
        assert set(rows) <= set(row) and max(row) <= 40 and set(column) <= set(range(32, 38))
        below = 0.3 * 32 / found[row, column] + 24 - row
        assert (below > -0.1).all() and (below < 1.1).all()


def test_things_beyond_a_number_of_faces_are_boxes(monkeypatch):
    bpy.context.scene.render.engine = "CYCLES"
    for y in (-2, -1.5, 3):
        bpy.ops.mesh.primitive_cube_add(size=0.01, location=(0, y, 0))
    nearest, left = find()
    assert np.isclose(nearest.min(), 1.995) and left.shape == (0, 8, 3)
    monkeypatch.setattr(slivers, "MOST_FACES", 6)
    nearest, left = find()
    assert left.shape == (1, 8, 3) and np.isclose(nearest.min(), 1.995), "the one behind is not looked at at all"
    monkeypatch.setattr(slivers, "MOST_FACES", 12)
    monkeypatch.setattr(slivers, "MOST_PIXELS", 1)
    assert find()[1].shape == (2, 8, 3)
    monkeypatch.setattr(slivers, "MOST_PIXELS", 10_000)
    monkeypatch.setattr(slivers, "MOST_THINGS", 1)
    assert np.allclose(find()[1][:, :, 1].mean(), -1.5), "the nearest one is looked at"
    bpy.data.objects["Cube"].visible_camera = False
    assert np.isclose(find()[0].min(), 2.495)


@pytest.mark.timing
def test_many_things_in_a_large_picture_take_little_time():
    bpy.ops.mesh.primitive_cube_add(size=0.002)
    cube = bpy.context.object
    for number in range(380):
        ob = cube.copy()
        ob.location = number % 20 / 20 - 0.5, -2, number / 400 - 0.5
        bpy.context.scene.collection.objects.link(ob)
    depsgraph, view = bpy.context.evaluated_depsgraph_get(), camera.orbit(0, 0, 4, 50, 1920, 1080)
    away, start = np.full((1080, 1920), 4, np.float32), time.process_time()
    nearest, left = slivers.find(depsgraph, view, away)
    # 0.15 s here; 3 s where each of them looks at all pixels
    assert time.process_time() - start < slowness(time.process_time) and not len(left)
    assert np.isfinite(nearest).sum() > 380


def test_an_edge_within_a_face_counts_once():
    window = slivers.Window.open(VIEW, np.full((48, 64), 4.0))
    edges = slivers.find_edges(np.float32(upright(0.02, -2)), np.arange(4), np.zeros(1, int), window)
    assert edges.shape == (1, 2, 3)


def end_in(kind: str) -> None:
    """Has a small cube's geometry nodes turn it into curves or points."""
    bpy.ops.mesh.primitive_cube_add(size=0.01, location=(0, -2, 0))
    tree = bpy.data.node_groups.new(kind, "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    nodes = [tree.nodes.new(each) for each in ("NodeGroupInput", kind, "NodeGroupOutput")]
    for one, other in zip(nodes, nodes[1:]):
        tree.links.new(one.outputs[0], other.inputs[0])
    bpy.context.object.modifiers.new(kind, "NODES").node_group = tree


def test_points_are_boxes():
    assert find()[1].shape == (0, 8, 3)
    end_in("GeometryNodeMeshToPoints")
    nearest, [left] = find()
    assert np.isinf(nearest).all() and np.allclose(left.mean(0), (0, -2, 0), atol=1e-3)


def test_curves_texts_and_what_geometry_nodes_end_in_are_looked_at_once(monkeypatch):
    end_in("GeometryNodeMeshToCurve")
    bpy.ops.curve.primitive_bezier_circle_add(radius=0.1, location=(0, -1, 0), rotation=(np.pi / 2, 0, 0))
    assert np.isinf(find()[0]).all(), "neither has faces"
    bpy.context.object.data.bevel_depth = 0.001
    for add, y in ((bpy.ops.object.text_add, -3), (bpy.ops.surface.primitive_nurbs_surface_sphere_add, -2.5),
                   (bpy.ops.object.metaball_add, -2.4)):
        add(location=(0, y, 0))
        bpy.context.object.scale = (0.01,) * 3
    seen: list[int] = []
    looked = slivers.find_edges
    monkeypatch.setattr(slivers, "find_edges", lambda points, corners, starts, window: (
        seen.append(round(window.see(points)[:, 2].mean().item())), looked(points, corners, starts, window))[1])
    find()
    assert sorted(seen) == [1, 2, 2, 3]
