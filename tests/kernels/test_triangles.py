"""Triangles on samples and the points under pixels, against the plain twin."""

import numpy as np
import pytest

from kernels import triangles
from kernels.twins import triangles as twin

OFFSETS = np.array([[-0.3, -0.1], [0.1, -0.3], [0.3, 0.1], [-0.1, 0.3]], np.float32)
POSE, INTRINSICS = np.eye(4), np.array([[12.0, 0, 5], [0, 12, 4], [0, 0, 1]])
EYE = np.array([0.0, 0, 0, 1])


def soup(count: int, near: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Triangles before the camera; with a negative `near` some reach behind it."""
    rng = np.random.default_rng(seed)
    vertices = rng.uniform((-1, -1, near), (1, 1, 4), (3 * count, 3)).astype(np.float32)
    return vertices, np.arange(3 * count, dtype=np.int32).reshape(-1, 3)


def covered(vertices, faces, before=None, **options) -> triangles.Samples:
    samples = triangles.Samples.empty(10, 8, OFFSETS)
    triangles.cover(samples, vertices, faces, 0, POSE, INTRINSICS, before=before, **options)
    return samples


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
@pytest.mark.parametrize(("near", "orthographic"), [(1.0, False), (-2.0, False), (1.0, True)])
def test_the_nearest_triangle_is_met(near, orthographic, isa, monkeypatch):
    monkeypatch.setenv("NEAR_ISA", isa)
    vertices, faces = soup(12, near)
    lens = {"near": 0.1, "orthographic": orthographic}
    made, (face, depth) = covered(vertices, faces, **lens), twin.cover(10, 8, OFFSETS, vertices, faces, POSE,
                                                                       INTRINSICS, **lens)
    assert (face >= 0).sum() > 50 and (made.face == face).all()
    assert np.allclose(made.depth, depth, rtol=1e-5)


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
@pytest.mark.parametrize("orthographic", [False, True])
def test_broad_triangles_are_met_along_all_of_their_rows(orthographic, isa, monkeypatch):
    """At all kinds of edges, level and upright ones and such that pass behind the camera."""
    monkeypatch.setenv("NEAR_ISA", isa)
    for seed in range(4):
        vertices, faces = soup(6, -1.0 if seed % 2 else 1.0, seed)
        vertices[:, :2] *= 4
        vertices[1, 1], vertices[4, 0] = vertices[0, 1], vertices[3, 0]
        size, middle = (48, 24), np.array([[24.0, 0, 24], [0, 24, 12], [0, 0, 1]])
        samples = triangles.Samples.empty(*size, OFFSETS)
        lens = {"near": 0.1, "orthographic": orthographic}
        triangles.cover(samples, vertices, faces, 0, POSE, middle, **lens)
        face, _ = twin.cover(*size, OFFSETS, vertices, faces, POSE, middle, **lens)
        assert (face >= 0).sum() > 500 and (samples.face == face).all()


def test_layers_follow_one_behind_the_other():
    vertices, faces = soup(12, 1.0)
    first = covered(vertices, faces)
    first.face[:4] = triangles.ENOUGH
    second = covered(vertices, faces, before=first)
    expected = twin.cover(10, 8, OFFSETS, vertices, faces, POSE, INTRINSICS, before=(first.face, first.depth))
    assert (second.face == expected[0]).all() and (second.face[:4] == triangles.NOTHING).all()
    assert (second.depth >= first.depth)[second.face >= 0].all()


@pytest.mark.parametrize("threads", [1, 2])
def test_samples_of_one_surface_are_one_point(threads):
    vertices, faces = soup(12, 1.0)
    rng = np.random.default_rng(1)
    normal = rng.normal(size=vertices.shape).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    uv = rng.uniform(size=(len(vertices), 2)).astype(np.float32)
    material = rng.integers(0, 2, len(faces)).astype(np.int32)
    samples = covered(vertices, faces)
    options = {"normal": normal, "uv": uv, "material": material}
    made = triangles.find_points(samples, vertices, faces, 0, POSE, INTRINSICS, eye=EYE, pixel_size=1 / 12,
                                 threads=threads, **options)
    expected = twin.find_points(samples.face, OFFSETS, vertices, faces, POSE, INTRINSICS, EYE, 1 / 12, **options)
    for name in ("pixel", "row", "weight", "position", "normal", "uv", "depth"):
        assert np.allclose(getattr(made, name), [each[name] for each in expected], atol=2e-5), name
    shown = samples.face >= 0
    assert (made.owner[~shown] == triangles.NOTHING).all()
    pixel = np.arange(80).reshape(8, 10, 1) * np.ones(4, int)
    assert (made.pixel[made.owner[shown]] == pixel[shown]).all()
    assert np.isclose(made.weight.sum() * 4, shown.sum())


def test_pixels_may_have_more_points_than_there_is_room_for_at_first():
    rng = np.random.default_rng(4)
    corner = rng.uniform((-0.5, -0.4, 1), (0.5, 0.4, 1.5), (20000, 3))
    vertices = (corner[:, None] + rng.uniform(-0.02, 0.02, (20000, 3, 3))).reshape(-1, 3).astype(np.float32)
    faces = np.arange(60000, dtype=np.int32).reshape(-1, 3)
    uv = rng.uniform(size=(60000, 2)).astype(np.float32)
    offsets = rng.uniform(-0.5, 0.5, (12, 2)).astype(np.float32)
    samples = triangles.Samples.empty(10, 8, offsets)
    triangles.cover(samples, vertices, faces, 0, POSE, INTRINSICS)
    made = triangles.find_points(samples, vertices, faces, 0, POSE, INTRINSICS, eye=EYE, pixel_size=1 / 12, uv=uv)
    assert len(made) > 4 * 80 and np.isclose(made.weight.sum() * 12, (samples.face >= 0).sum())
    assert made.owner.max() == len(made) - 1


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("side", [1, 3, 5])
def test_samples_count_in_the_pixels_around(side, threads):
    rng = np.random.default_rng(2)
    vertices, faces = soup(12, 1.0)
    points = triangles.find_points(covered(vertices, faces), vertices, faces, 0, POSE, INTRINSICS, eye=EYE,
                                   pixel_size=1 / 12)
    count = len(points)
    given = [rng.uniform(size=shape).astype(np.float32) for shape in
             ((count, 6), (count,), (4, side, side), points.owner.shape)]
    made, expected = ([np.ones((8, 10, 6), np.float32), np.ones((8, 10), np.float32)] for _ in range(2))
    triangles.resolve(points, *given, *made, threads=threads)
    twin.resolve(points, *given, *expected)
    assert all(np.allclose(one, other, rtol=1e-5) for one, other in zip(made, expected)) and expected[1].max() > 2
    plain, expected = ([np.ones((8, 10, 6), np.float32), np.ones((8, 10), np.float32)] for _ in range(2))
    triangles.resolve(points, *given[:3], None, *plain, threads=threads)
    twin.resolve(points, *given[:3], np.ones(points.owner.shape), *expected)
    assert all(np.allclose(one, other, rtol=1e-5) for one, other in zip(plain, expected))


def test_faces_that_name_no_vertex_are_refused():
    vertices, faces = soup(2, 1.0)
    with pytest.raises(ValueError, match="vertices 0 to 5"):
        covered(vertices, faces + 1)
