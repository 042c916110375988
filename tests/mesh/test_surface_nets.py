"""The surface of a field."""

import numpy as np

from near_core.mesh import surface_nets


def ball(resolution: int, radius: float, middle=(0.0, 0.0, 0.0)) -> np.ndarray:
    axis = (np.arange(resolution) + 0.5) / resolution - 0.5
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    return (radius - np.sqrt((x - middle[0])**2 + (y - middle[1])**2 + (z - middle[2])**2)).astype(np.float32)


def test_a_ball_is_round_closed_and_faces_outwards():
    vertices, faces = surface_nets.extract(ball(32, 0.3))
    distance = np.linalg.norm(vertices, axis=1)
    assert np.abs(distance - 0.3).max() < 0.2 / 32
    a, b, c, d = (vertices[faces[:, i]] for i in range(4))
    normal = np.cross(c - a, d - b)
    assert ((normal * (a + b + c + d)).sum(1) > 0).all()
    volume = (np.einsum("fc,fc->f", a, np.cross(b, c)) + np.einsum("fc,fc->f", a, np.cross(c, d))).sum() / 6
    assert abs(volume / (4 / 3 * np.pi * 0.3**3) - 1) < 0.02
    edges = np.sort(np.concatenate([faces[:, [i, (i + 1) % 4]] for i in range(4)]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_what_reaches_the_cube_is_closed_there():
    vertices, faces = surface_nets.extract(np.ones((8, 8, 8), np.float32))
    assert np.abs(vertices).max() <= 0.5 + 1e-6
    assert len(faces) == 6 * 64


def test_an_empty_field_has_no_surface():
    vertices, faces = surface_nets.extract(-np.ones((8, 8, 8), np.float32))
    assert vertices.shape == (0, 3) and faces.shape == (0, 4)
