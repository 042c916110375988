"""The proxy's surface lies on the asset's."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.asset import NeuralAsset, proxy_mesh
from near_core.asset.skin import Skin
from near_core.directions import fibonacci_sphere
from tests.surfaces import dress, lay

VOXEL = 1 / 64


def asset_of(points: np.ndarray, normals: np.ndarray, color=(0.5, 0.5, 0.5), with_surfels: bool = True) -> NeuralAsset:
    """An asset of evenly spread surface points (K, 3) with normals (K, 3)."""
    asset = dress(lay(points, normals, color, 0.3, 0.9))
    return asset if with_surfels else replace(asset, surfels=None)


def sphere(count: int = 40_000) -> np.ndarray:
    """Unit directions (count, 3), evenly spread."""
    return fibonacci_sphere(count).astype(np.float64)


def plate(thickness: float) -> tuple[np.ndarray, np.ndarray]:
    """Both sides of a square plate of width 0.8 across z = 0.05: points and normals."""
    xy = np.random.default_rng(0).uniform(-0.4, 0.4, (60_000, 2))
    side = np.where(np.arange(len(xy)) % 2, 1.0, -1.0)
    points = np.concatenate([xy, 0.05 + side[:, None] * thickness / 2], 1)
    return points, side[:, None] * np.array([0, 0, 1.0])


def test_a_sphere_is_met_within_a_tenth_of_a_voxel():
    n = sphere()
    made = proxy_mesh.build(asset_of(0.45 * n, n))
    radius = np.linalg.norm(made.vertices, axis=1)
    assert np.abs(radius - 0.45).max() < 0.1 * VOXEL


def test_edges_of_a_box_stay_sharp():
    size = np.array([0.4, 0.3, 0.2])
    random = np.random.default_rng(0)
    axis = random.choice(3, 100_000, p=np.prod(size) / size / (np.prod(size) / size).sum())
    points = random.uniform(-1, 1, (len(axis), 3))
    side = np.where(random.random(len(axis)) < 0.5, -1.0, 1.0)
    points[np.arange(len(axis)), axis] = side
    normals = np.eye(3)[axis] * side[:, None]
    made = proxy_mesh.build(asset_of(points * size, normals))
    corner = np.linalg.norm(np.abs(made.vertices) - size, axis=1).min()
    assert corner < 0.15 * VOXEL
    assert (np.abs(made.vertices) < size + 0.1 * VOXEL).all()


@pytest.mark.parametrize("thickness", [0.0, 0.004, 0.05])
def test_thin_plates_keep_two_sides_that_never_coincide(thickness):
    made = proxy_mesh.build(asset_of(*plate(thickness)))
    inner = np.abs(made.vertices[:, :2]).max(1) < 0.37
    height = made.vertices[inner, 2] - 0.05
    upper, lower = height[height > 0], height[height <= 0]
    assert np.abs(upper - thickness / 2).max() < 0.5 * VOXEL and np.abs(lower + thickness / 2).max() < 0.5 * VOXEL
    assert upper.min() - lower.max() > 0.1 * VOXEL


def test_a_single_sheet_has_a_lifted_far_side():
    points, _ = plate(0.0)
    made = proxy_mesh.build(asset_of(points, np.broadcast_to([0, 0, 1.0], points.shape)))
    height = made.vertices[np.abs(made.vertices[:, :2]).max(1) < 0.37, 2] - 0.05
    assert height.min() == pytest.approx(-0.1 * VOXEL, rel=0.1) and abs(height.max()) < 0.02 * VOXEL


def test_without_surfels_the_surface_runs_through_the_voxels():
    n = sphere()
    made = proxy_mesh.build(asset_of(0.45 * n, n, with_surfels=False))
    assert np.abs(np.linalg.norm(made.vertices, axis=1) - 0.45).mean() < 0.5 * VOXEL


def test_it_ends_where_the_skin_does():
    n = sphere()
    asset = asset_of(0.45 * n, n)
    box = np.float32([[-0.455, -0.45, -0.44], [0.455, 0.44, 0.46], [0, 0, 0]])
    skin = Skin(box, None, box[:, :2], None, np.int32([[0, 1, 2]]), np.zeros(1, np.int32), (), ())
    rough, made = proxy_mesh.build(asset).vertices, proxy_mesh.build(replace(asset, skin=skin)).vertices
    assert np.allclose([made.min(0), made.max(0)], box[:2], atol=1e-6)
    assert np.linalg.norm(made - rough, axis=1).max() < VOXEL
    inner = np.abs(rough).max(1) < 0.4
    assert (made[inner] == rough[inner]).all()


@pytest.mark.parametrize("thickness", [0.0, 0.004])
def test_a_thin_skin_leaves_its_sides_apart(thickness):
    points, normals = plate(thickness)
    asset, flat = asset_of(points, normals), np.float32(points[:3] * (1, 1, 0) + (0, 0, 0.05))
    skin = Skin(flat, None, flat[:, :2], None, np.int32([[0, 1, 2]]), np.zeros(1, np.int32), (), ())
    made, rough = proxy_mesh.build(replace(asset, skin=skin)).vertices, proxy_mesh.build(asset).vertices
    assert (made[:, 2] == rough[:, 2]).all()


def test_faces_look_outward_and_close():
    n = sphere()
    made = proxy_mesh.build(asset_of(0.45 * n, n))
    a, b, c, d = (made.vertices[made.faces[:, i]].astype(np.float64) for i in range(4))
    volume = (np.einsum("ij,ij->i", a, np.cross(b, c)) + np.einsum("ij,ij->i", a, np.cross(c, d))).sum() / 6
    assert volume == pytest.approx(4 / 3 * np.pi * 0.45 ** 3, rel=0.01)
    edges = np.concatenate([made.faces[:, [i, (i + 1) % 4]] for i in range(4)])
    assert {tuple(e) for e in edges} == {(b, a) for a, b in edges}


def test_the_inside_of_a_closed_surface_has_no_faces():
    n = sphere()
    made = proxy_mesh.build(asset_of(np.concatenate([0.45 * n, 0.2 * n]), np.concatenate([n, -n])))
    assert np.linalg.norm(made.vertices, axis=1).min() > 0.4


def test_materials_follow_the_surfels():
    n = sphere()
    color = np.where(n[:, 2:] > 0, (1.0, 0, 0), (0, 0, 1.0))
    made = proxy_mesh.build(asset_of(0.45 * n, n, color))
    above = made.vertices[:, 2] > 2 * VOXEL
    assert np.allclose(made.base_color[above], (1, 0, 0), atol=1e-5)
    assert np.allclose(made.roughness, 0.3, atol=1e-5) and np.allclose(made.metallic, 0.9, atol=1e-5)


def test_a_storm_of_voxels_stays_below_the_limit():
    coords = np.argwhere(np.random.default_rng(0).random((64, 64, 64)) < 0.3).astype(np.uint8)
    asset = NeuralAsset(coords, np.zeros((len(coords), 8), np.float16), np.zeros((len(coords), 0), np.float16))
    assert 0 < len(proxy_mesh.build(asset).faces) <= proxy_mesh.MAX_FACES


@pytest.mark.parametrize("coords", [[[0, 0, 0]], [[63, 63, 63]], [[0, 0, 0], [63, 63, 63]]])
def test_single_voxels_have_six_faces_each(coords):
    coords = np.array(coords, np.uint8)
    material, slat = np.zeros((len(coords), 8), np.float16), np.zeros((len(coords), 0), np.float16)
    made = proxy_mesh.build(NeuralAsset(coords, material, slat))
    assert len(made.faces) == 6 * len(coords) and np.isfinite(made.vertices).all()


def test_what_glows_does_so_where_it_is():
    n = sphere(10_000)
    asset = asset_of(0.45 * n, n)
    emission = np.where(n[:, 2:] > 0, np.float32([50, 20, 0]), np.float32(0))
    glowing = replace(asset, surfels=replace(asset.surfels, emission=emission))
    made, plain = (proxy_mesh.build(each) for each in (glowing, asset))
    np.testing.assert_array_equal(made.vertices, plain.vertices)
    assert plain.emission is None
    above = made.vertices[:, 2] > 2 * VOXEL
    np.testing.assert_allclose(made.emission[above], [[50, 20, 0]] * above.sum(), rtol=1e-5)
    assert not made.emission[made.vertices[:, 2] < -2 * VOXEL].any()
