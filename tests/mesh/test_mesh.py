"""near_core.mesh.mesh: what a mesh is, and what is none."""


import numpy as np
import pytest

from near_core import mesh
from near_core.errors import NearError
from tests.gltf import TRIANGLE


@pytest.mark.parametrize("vertices, faces, words", [
    (TRIANGLE, np.zeros((0, 3), int), "no faces"), (TRIANGLE * np.nan, [[0, 1, 2]], "not-a-number"),
    (TRIANGLE * 0, [[0, 1, 2]], "one point"), (TRIANGLE * 1e30, [[0, 1, 2]], "far apart"),
    (TRIANGLE, [[0, 1, 3]], "does not have"),
])
def test_meshes_without_a_surface(vertices, faces, words):
    with pytest.raises(NearError, match=words):
        mesh.normalize(mesh.Mesh(np.float32(vertices), np.int32(faces)))


def test_normalized_says_how_to_come_back():
    unused = [9, 9, 9]
    box = mesh.Mesh(np.float32([[1, 2, 3], [5, 2, 3], [1, 4, 3], unused]), np.int32([[0, 1, 2]]))
    made, extent, centre = mesh.normalize(box)
    assert extent == 4 and np.array_equal(centre, [3, 3, 3])
    np.testing.assert_allclose(made.vertices * extent + centre, box.vertices)
    np.testing.assert_allclose(mesh.compute_bounds(made), [[-0.5, -0.25, 0], [0.5, 0.25, 0]])


def test_merged_fills_in_what_a_part_lacks():
    flat = mesh.Mesh(TRIANGLE, np.int32([[0, 1, 2]]))
    painted = mesh.Mesh(TRIANGLE + 1, np.int32([[2, 1, 0]]), corner_uv=np.full((1, 3, 2), 0.5, np.float32),
                        corner_color=np.zeros((1, 3, 4), np.float32), material_index=np.int32([1]))
    both = mesh.merge([flat, painted], (mesh.Material(), mesh.Material()))
    assert both.faces.tolist() == [[0, 1, 2], [5, 4, 3]] and both.material_index.tolist() == [0, 1]
    assert both.corner_normal is None
    np.testing.assert_array_equal(both.corner_color[:, 0, 0], [1, 0])
    np.testing.assert_array_equal(both.corner_uv[:, 0, 0], [0, 0.5])
