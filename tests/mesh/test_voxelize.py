"""The voxelizer against Open3D's stored result and against a brute-force test of points on the surface."""
import time

import numpy as np
import pytest
import trimesh

from near_core.errors import NearError
from near_core.mesh import find_occupied
from tests.machine import slowness


def test_covers_every_point_of_the_surface():
    mesh = trimesh.creation.torus(0.31, 0.12)
    points, _ = trimesh.sample.sample_surface(mesh, 200_000, seed=1)
    for resolution in (7, 32, 64):
        cells = np.unique(np.floor((points + 0.5) * resolution).astype(int), axis=0)
        found = set(map(tuple, find_occupied(mesh.vertices, mesh.faces, resolution).tolist()))
        assert set(map(tuple, cells.tolist())) <= found
        assert len(found) < 1.12 * len(cells)  # a corner merely grazed is rarely sampled


def test_a_slanted_triangle_over_the_whole_grid_marks_only_cells_its_plane_cuts():
    vertices, faces = np.array([[-0.5, -0.5, -0.5], [0.5, 0.5, -0.5], [0.5, -0.5, 0.5]]), np.array([[0, 1, 2]])
    cells = find_occupied(vertices, faces, 48)
    normal = np.cross(vertices[1] - vertices[0], vertices[2] - vertices[0])
    distance = ((cells + 0.5) / 48 - 0.5 - vertices[0]) @ normal
    assert np.abs(distance).max() <= np.abs(normal).sum() / 96 + 1e-12
    assert len(cells) > 2000


def test_outside_the_grid_is_not_counted_and_bad_input_is_named():
    mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.7)
    cells = find_occupied(mesh.vertices, mesh.faces, 16)
    assert cells.min() >= 0 and cells.max() < 16
    assert len(find_occupied(mesh.vertices + 5, mesh.faces, 16)) == 0
    assert find_occupied(mesh.vertices, np.zeros((0, 3), int), 16).shape == (0, 3)
    for vertices, faces in ((mesh.vertices, mesh.faces + 1), (mesh.vertices * np.nan, mesh.faces)):
        with pytest.raises(NearError):
            find_occupied(vertices, faces, 16)


@pytest.mark.timing
def test_is_fast():
    mesh = trimesh.creation.icosphere(subdivisions=6, radius=0.45)  # 82k triangles
    start = time.process_time()
    find_occupied(mesh.vertices, mesh.faces, 64)
    assert time.process_time() - start < 0.7 * slowness(time.process_time)


@pytest.mark.timing
def test_what_lies_doubled_costs_nothing_and_what_fills_the_cube_is_refused():
    """Every triangle is tested with each of its cells: 50,000 large ones would take five minutes."""
    corners = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [-0.5, 0.5, 0]])
    start = time.process_time()
    doubled = find_occupied(corners, np.tile([[0, 1, 2], [2, 1, 0]], (25_000, 1)), 64)
    assert np.array_equal(doubled, find_occupied(corners, np.array([[0, 1, 2]]), 64))
    stack = corners + np.linspace(-0.4, 0.4, 15_000)[:, None, None] * [0, 0, 1]
    with pytest.raises(NearError, match="more surface than fits"):
        find_occupied(stack.reshape(-1, 3), np.arange(45_000).reshape(-1, 3), 64)
    assert time.process_time() - start < 3 * slowness()
