"""Surfels and voxels of meshes against known shapes, known maps, and pictures of the same objects by Cycles."""

import time
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from near_core import image, mesh
from near_core.asset import CELL, VoxelMaterial
from near_core.create import sampling
from near_core.directions import decode_octahedral
from near_core.errors import Cancelled, NearError
from near_core.mesh import Material, Mesh, texture
from near_core.scene import camera
from tests.machine import slowness


def plain(shape: trimesh.Trimesh, **options) -> Mesh:
    return Mesh(np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32), **options)


def sheet(size: float = 0.9, z: float = 0.0013, material: Material = Material()) -> Mesh:
    """A square across the cube, facing up, with UV (0, 0) at its -X, -Y corner."""
    half = size / 2
    corners = np.float32([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]])
    faces = np.int32([[0, 1, 2], [0, 2, 3]])
    uv = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]])[faces]
    return Mesh(corners, faces, uv, materials=(material,))


def area(surfels) -> float:
    return float(surfels.area.sum()) * CELL ** 2


def test_a_mesh_that_is_transparent_everywhere_is_named():
    glass = Material(base_color=(1, 1, 1, 0))
    with pytest.raises(NearError, match="transparent everywhere"):
        sampling.sample_surfels(sheet(material=glass))


def test_a_mesh_outside_of_the_cube_is_named():
    far = replace(sheet(), vertices=sheet().vertices + 255)
    with pytest.raises(NearError, match="inside of the asset's cube"):
        sampling.voxelize(far, sampling.sample_surfels(far))


def test_a_sphere_is_covered_once_and_faces_outward():
    surfels = sampling.sample_surfels(plain(trimesh.creation.icosphere(5, 0.4)))
    radius = np.linalg.norm(surfels.position, axis=1)
    assert area(surfels) == pytest.approx(4 * np.pi * 0.16, rel=0.005)
    assert np.abs(radius - 0.4).max() < 0.1 * CELL
    assert ((surfels.normal * surfels.position).sum(1) / radius).min() > 0.99
    # nowhere a hole: every direction has a surfel within a cell's diagonal
    points = trimesh.sample.sample_surface(trimesh.creation.icosphere(4, 0.4), 5000, seed=0)[0]
    assert cKDTree(surfels.position).query(points)[0].max() < 1.2 * CELL


@pytest.mark.parametrize("flip", [False, True])
def test_winding_does_not_matter(flip):
    box = trimesh.creation.box((0.8, 0.6, 0.4))
    if flip:
        box.invert()
    surfels = sampling.sample_surfels(plain(box))
    assert area(surfels) == pytest.approx(2 * (0.48 + 0.32 + 0.24), rel=0.01)
    face = np.argmax(np.abs(surfels.position) / [0.4, 0.3, 0.2], axis=1)
    rows = np.arange(len(surfels))
    outward = np.sign(surfels.position[rows, face]) * surfels.normal[rows, face]
    assert np.mean(outward > 0.999) > 0.9995  # edges stay crisp


def test_a_sheet_has_two_sides():
    surfels = sampling.sample_surfels(sheet())
    up = surfels.normal[:, 2] > 0
    assert area(surfels.take(up)) == pytest.approx(0.81, rel=0.005) == area(surfels.take(~up))
    assert np.abs(np.abs(surfels.normal[:, 2]) - 1).max() < 1e-5


@pytest.mark.parametrize("window", [0.0, 0.3])
def test_a_room_is_seen_from_inside_through_its_window(window):
    """Walls without thickness: the far one sees 1 % of all directions through it."""
    box = trimesh.creation.box((0.8, 0.8, 0.8)).subdivide().subdivide().subdivide().subdivide()
    middle = box.triangles_center
    box.update_faces((middle[:, 0] < 0.39) | (np.abs(middle[:, 1:]).max(1) > window / 2))
    surfels = sampling.sample_surfels(plain(box))
    far = surfels.take((surfels.position[:, 0] < -0.395) & (np.abs(surfels.position[:, 1:]).max(1) < 0.38))
    inside = far.normal[:, 0] > 0.9
    assert area(far.take(~inside)) == pytest.approx(0.76 ** 2, rel=0.05)
    assert area(far.take(inside)) == pytest.approx(0.76 ** 2 if window else 0, rel=0.1, abs=0.005)


def test_a_thin_plate_keeps_its_sides_apart():
    plate = plain(trimesh.creation.box((0.9, 0.9, 0.4 * CELL)))
    surfels = sampling.sample_surfels(plate)
    top = surfels.normal[:, 2] > 0.9
    assert area(surfels.take(top)) == pytest.approx(0.81, rel=0.01)
    assert np.mean(np.abs(surfels.position[top, 2] - 0.2 * CELL) < 1e-6) > 0.999


def test_samples_are_exact_in_expectation():
    # one large triangle and many small ones, interleaved: both halves get half of the samples
    rng = np.random.default_rng(3)
    areas = rng.random(20001) ** 4
    areas[7777] = areas.sum()
    face = sampling._stratified(areas, 100_000)
    assert (np.diff(face) >= 0).all()
    assert (face == 7777).mean() == pytest.approx(0.5, abs=1e-4)
    for first in (0, 7778, 15000):
        part = slice(first, first + 5000)
        assert np.isin(face, np.arange(20001)[part]).mean() == pytest.approx(areas[part].sum() / areas.sum(), abs=1e-4)


def test_points_spread_evenly_over_a_triangle():
    weights = sampling._barycentric(6000)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    assert weights.min() >= 0
    for run in (weights[:1000], weights[2345:3345]):
        np.testing.assert_allclose(run.mean(0), 1 / 3, atol=0.01)
        np.testing.assert_allclose((run[:, 0] * run[:, 1]).mean(), 1 / 12, atol=0.002)  # E[ab] of a uniform triangle


def test_a_checkerboard_finer_than_a_cell_averages_in_linear_light():
    board = np.kron(np.indices((512, 512)).sum(0) % 2 * 255, np.ones((2, 2))).astype(np.uint8)
    picture = np.dstack([board] * 3 + [np.full_like(board, 255)])
    material = Material(base_color=(1, 0.5, 1, 1), base_color_map=picture, roughness=1, roughness_map=board)
    surfels = sampling.sample_surfels(sheet(material=material))
    np.testing.assert_allclose(surfels.base_color.mean(0), [0.5, 0.25, 0.5], atol=0.005)
    assert surfels.base_color[:, 0].std() < 0.06 and surfels.roughness.mean() == pytest.approx(0.5, abs=0.005)


def test_maps_lie_where_they_belong():
    picture = np.full((4, 4, 4), 255, np.uint8)
    picture[0, 0, :3] = 255, 0, 0  # top left: U low, V high
    picture[3, 3, :3] = 0, 0, 255
    surfels = sampling.sample_surfels(sheet(material=Material(base_color=(1, 1, 1, 1), base_color_map=picture)))
    near = lambda x, y: surfels.base_color[np.abs(surfels.position[:, :2] - (x, y)).max(1) < CELL].mean(0)
    np.testing.assert_allclose(near(-0.3375, 0.3375), [1, 0, 0], atol=0.06)
    np.testing.assert_allclose(near(0.3375, -0.3375), [0, 0, 1], atol=0.06)
    np.testing.assert_allclose(near(-0.1, -0.3375), [1, 1, 1], atol=0.01)


def test_what_glows_sends_as_much_from_both_sides_as_its_map_says():
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[:32, :, 0], picture[..., 3] = 255, 255  # above
    surfels = sampling.sample_surfels(sheet(material=Material(
        base_color=(1, 1, 1, 0.5), emission=(300, 300, 300), emission_map=picture, wrap=("clamp", "clamp"))))
    above = surfels.position[:, 1] > CELL
    for side in (surfels.normal[:, 2] > 0, surfels.normal[:, 2] < 0):
        np.testing.assert_allclose(surfels.emission[side & above], [[300, 0, 0]] * (side & above).sum(), rtol=1e-4)
    assert not surfels.emission[surfels.position[:, 1] < -CELL].any()
    assert sampling.sample_surfels(sheet()).emission is None


@pytest.mark.parametrize("mirrored", [False, True])
def test_normal_maps_bend_along_u_and_v(mirrored):
    bent = np.float32([0.36, 0.48, 0.8])
    picture = np.tile(np.round((bent + 1) * 127.5).astype(np.uint8), (8, 8, 1))
    flat = sheet(material=Material(normal_map=picture))
    if mirrored:
        flat.corner_uv[..., 0] = 1 - flat.corner_uv[..., 0]
        bent = bent * [-1, 1, 1]
    surfels = sampling.sample_surfels(flat)
    up = surfels.normal[:, 2] > 0
    np.testing.assert_allclose(surfels.shading_normal[up], np.tile(bent, (up.sum(), 1)), atol=0.01)
    np.testing.assert_allclose(surfels.shading_normal[~up], np.tile(-bent, ((~up).sum(), 1)), atol=0.01)


def test_transparent_parts_of_a_map_are_no_surface():
    picture = np.full((2, 2, 4), 255, np.uint8)
    picture[:, 1] = 0, 255, 0, 0
    surfels = sampling.sample_surfels(sheet(material=Material(base_color_map=picture, wrap=("clamp", "clamp"))))
    assert surfels.position[:, 0].max() < 0.25
    assert (surfels.base_color[:, 1] < 0.81).all()  # the hidden green does not bleed in
    assert surfels.opacity[surfels.position[:, 0] < -0.24].min() > 0.999


@pytest.mark.parametrize("mode, expected", [("repeat", [2, 3, 0, 1, 2, 3, 0, 1]), ("clamp", [0, 0, 0, 1, 2, 3, 3, 3]),
                                            ("mirror", [1, 0, 0, 1, 2, 3, 3, 2])])
def test_texels_outside_wrap(mode, expected):
    np.testing.assert_array_equal(texture._wrapped(np.arange(-2.0, 6.0), 4, mode), expected)


def test_mip_levels_keep_the_mean():
    values = np.random.default_rng(0).random((37, 20, 3)).astype(np.float32)
    for level in texture.build_pyramid(values)[:-1]:
        np.testing.assert_allclose(level.mean((0, 1)), values.mean((0, 1)), atol=0.05)
    assert texture.build_pyramid(values)[-1].shape == (1, 1, 3)


def test_voxels_hold_the_materials_of_their_surfels():
    ball, box = trimesh.creation.icosphere(4, 0.2), trimesh.creation.box((0.3, 0.3, 0.3))
    ball.apply_translation((-0.3, 0, 0))
    box.apply_translation((0.3, 0, 0))
    both = trimesh.util.concatenate([ball, box])
    index = np.repeat([0, 1], [len(ball.faces), len(box.faces)]).astype(np.int32)
    shapes = plain(both, material_index=index,
                   materials=(Material("", (1, 0, 0, 1), 0.25, 0), Material("", (0, 0.5, 0, 1), 0.75, 1)))
    surfels = sampling.sample_surfels(shapes)
    coords, material = sampling.voxelize(shapes, surfels)
    centre = (coords + 0.5) / 64 - 0.5
    left = centre[:, 0] < 0
    assert coords.dtype == np.uint8 and material.dtype == np.float16 and len(np.unique(coords, axis=0)) == len(coords)
    for side, values in ((left, [1, 0, 0, 0.25, 0]), (~left, [0, 0.5, 0, 0.75, 1])):
        np.testing.assert_allclose(material[side, VoxelMaterial.MATERIAL], np.tile(values, (side.sum(), 1)), atol=1e-3)
    outward = centre[left] - [-0.3, 0, 0]
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    assert np.percentile((decode_octahedral(material[left, VoxelMaterial.NORMAL]) * outward).sum(1), 2) > 0.97
    assert (material[:, VoxelMaterial.CONFIDENCE] == 1).all()


def test_it_is_deterministic_and_can_be_stopped():
    ball = plain(trimesh.creation.icosphere(3, 0.1))
    first, again = sampling.sample_surfels(ball), sampling.sample_surfels(ball)
    np.testing.assert_array_equal(first.position, again.position)

    def stop(phase, fraction):
        raise Cancelled

    with pytest.raises(Cancelled):
        sampling.sample_surfels(ball, stop)


def test_degenerate_triangles_are_harmless():
    ball = trimesh.creation.icosphere(3, 0.1)
    faces = np.concatenate([ball.faces, np.repeat(ball.faces[:50, :1], 3, 1)]).astype(np.int32)
    flat = Mesh(np.asarray(ball.vertices, np.float32), faces, np.zeros((len(faces), 3, 2), np.float32),
                np.zeros((len(faces), 3, 3), np.float32),
                materials=(Material(normal_map=np.full((4, 4, 3), 128, np.uint8)),))
    surfels = sampling.sample_surfels(flat)
    assert surfels.emission is None
    for name, values in vars(surfels).items():
        assert name == "emission" or np.isfinite(values).all()
    np.testing.assert_allclose(np.linalg.norm(surfels.shading_normal, axis=1), 1, atol=1e-4)


def test_a_line_of_triangles_gives_surfels_or_says_why():
    # a mesh of no area at all: every triangle is a line
    line = Mesh(np.float32([[-0.5, 0, 0], [0, 0, 0], [0.5, 0, 0]]), np.int32([[0, 1, 2]]))
    with pytest.raises(NearError, match="area"):
        sampling.sample_surfels(line)


# the largest mean error of base colour, and of the shading normal in degrees
ASSETS = {"pc_cat": (0.03, 6), "kh_avocado": (0.01, 4), "cs_alien_scolitex": (0.01, 3), "ms_traffic_cone": (0.02, 2),
          "aws_chaird_01": (0.005, 4), "kn_vehicle_motorcycle": (0.01, 4)}


@pytest.mark.parametrize("name", ASSETS)
def test_materials_equal_what_blender_renders(shared, name):
    """Base colour, roughness, metallic and shading normal around each point that view 0 of the dev set sees."""
    import json
    view = shared / "data/eval/views" / name / "0"
    loaded, extent, centre = mesh.normalize(mesh.load(shared / "data/assets/models" / f"{name}.glb"))
    surfels = sampling.sample_surfels(loaded)
    seen = camera.from_json(json.loads(view.with_suffix(".json").read_text())["camera"])
    alpha = image.read(view.with_suffix(".exr"))[..., 3]
    layer = lambda kind: image.read(view.with_name(f"0.{kind}.exr"))
    base, material, normal, depth = layer("basecolor"), layer("material"), layer("normal"), layer("depth")[..., 0]
    calm = alpha > 0.999
    for axis in (0, 1):
        for step in (-1, 1):
            calm &= np.abs(np.roll(depth, step, axis) - depth) < 0.015
    calm[np.indices(calm.shape).sum(0) % 4 > 0] = False  # a quarter is enough
    rays = seen.pixel_directions()
    points = (seen.position + rays * (depth / (rays @ seen.forward))[..., None])[calm]
    row, weight = _around((points - centre) / extent, -rays[calm], normal[calm], surfels)
    assert (weight.sum(1) > 0).mean() > 0.99  # each visible point has a surfel that faces the camera
    weight = weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)
    mean = lambda values: np.einsum("ki,ki...->k...", weight, values[row])
    largest, degrees = ASSETS[name]
    shade = alpha[calm][:, None]
    assert np.abs(mean(surfels.base_color) - base[calm][:, :3] / shade).mean() < largest
    assert np.abs(mean(surfels.roughness) - material[calm][:, 0] / shade[:, 0]).mean() < 0.02
    assert np.abs(mean(surfels.metallic) - material[calm][:, 1] / shade[:, 0]).mean() < 0.02
    bent = mean(surfels.shading_normal)
    cosine = (bent * normal[calm]).sum(1) / np.linalg.norm(bent, axis=1) / np.linalg.norm(normal[calm], axis=1)
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean() < degrees


def _around(points, toward, normal, surfels, count=16):
    """(K, count) surfels next to points and their weights, 0 where they face away or lie on another surface."""
    distance, row = cKDTree(surfels.position).query(points, k=count, distance_upper_bound=1.2 * CELL)
    row = np.where(np.isfinite(distance), row, 0)
    facing = np.einsum("kij,kj->ki", surfels.normal[row], toward) > 0
    alike = np.einsum("kij,kj->ki", surfels.normal[row], normal) > 0.3
    off = np.abs(np.einsum("kij,kij->ki", surfels.position[row] - points[:, None], surfels.normal[row]))
    fits = np.isfinite(distance) & facing & alike & (off < 0.4 * CELL)
    return row, fits * np.exp(-0.5 * (np.where(fits, distance, 0) / (0.4 * CELL)) ** 2)


@pytest.mark.timing
@pytest.mark.slow
def test_ten_million_triangles():
    count = 2237  # a wavy height field of 2 * 2236^2 triangles
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, count, dtype=np.float32), np.linspace(-0.5, 0.5, count, dtype=np.float32))
    vertices = np.stack([x, y, 0.1 * np.sin(20 * x) * np.sin(20 * y)], -1).reshape(-1, 3)
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).reshape(-1, 1)
    faces = np.concatenate([corner + [0, 1, count + 1], corner + [0, count + 1, count]]).astype(np.int32)
    field, _, _ = mesh.normalize(Mesh(vertices, faces))
    started = time.perf_counter()
    surfels = sampling.sample_surfels(field)
    sampling.voxelize(field, surfels)
    assert len(faces) > 9_900_000 and time.perf_counter() - started < 120 * slowness()
    assert area(surfels) > 2
