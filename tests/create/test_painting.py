"""What photos show, as a skin: colours as fine as they are told, roughness and metallic by ramps."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.asset import NeuralAsset, from_bytes, textured_mesh, to_bytes
from near_core.asset.blending import SurfelBlend
from near_core.asset.skin import find_edges
from near_core.create.config import PaintingConfig
from near_core.create.create import create_from_image
from near_core.create.painting import RAMP, Paint, paint_skin
from near_core.create.sampling import sample_surface, voxelize
from near_core.create.shot import Shot
from near_core.image import srgb_decode, srgb_encode
from near_core.mesh import Mesh, compute_face_normals
from near_core.render.renderer import Renderer
from near_core.scene import Instance, Settings
from near_core.scene import camera as cameras
from near_core.scene.environment import uniform
from tests.create.pictures import box


@pytest.fixture(scope="module")
def halves():
    """A box, red on its left and green on its right, as photos are told colours."""
    shape = box(roughness=0.3, metallic=1.0)
    surfels, texels = sample_surface(shape)
    colors = np.where(texels.position[:, :1] < 0.1, np.float32([0.8, 0.05, 0.05]), np.float32([0.05, 0.6, 0.05]))
    surfels = replace(surfels, base_color=np.where(
        surfels.position[:, :1] < 0.1, np.float32([0.8, 0.05, 0.05]), np.float32([0.05, 0.6, 0.05])))
    shift = srgb_encode(colors) - srgb_encode(surfels.base_color)[texels.surfel]
    return shape, surfels, replace(texels, shift=shift)


def test_corners_have_the_colours_beside_them(halves):
    shape, surfels, texels = halves
    skin = paint_skin(shape, Paint(SurfelBlend(surfels, texels)))
    x = skin.vertices[:, 0]
    assert np.abs(skin.color[x < 0.09, :3] - [0.8, 0.05, 0.05]).max() < 0.02
    assert np.abs(skin.color[x > 0.11, :3] - [0.05, 0.6, 0.05]).max() < 0.02
    assert (skin.color[:, 3] == 1).all() and skin.normal is None, "the box has flat faces"


def test_corners_lie_where_colours_change(halves):
    shape, surfels, texels = halves
    config = PaintingConfig()
    skin = paint_skin(shape, Paint(SurfelBlend(surfels, texels)), config=config)
    ends, row = find_edges(skin.faces)
    points = skin.vertices[ends]
    length = np.linalg.norm(points[:, 0] - points[:, 1], axis=1)
    assert length.max() <= config.longest and np.bincount(row.ravel()).max() == 2, "edges meet, everywhere"
    near = np.abs(points[..., 0] - 0.1).max(1) < 0.01
    assert length[near].mean() < 0.7 * length[np.abs(points[..., 0] - 0.1).min(1) > 0.05].mean()
    few = paint_skin(shape, Paint(SurfelBlend(surfels, texels)), config=replace(config, color_step=2.0))
    assert len(few.faces) < len(skin.faces) < 2 * len(few.faces)


def test_no_more_faces_than_there_is_room_for(halves):
    shape, surfels, texels = halves
    free = paint_skin(shape, Paint(SurfelBlend(surfels, texels)), config=PaintingConfig(color_step=0.0))
    plain = paint_skin(shape, Paint(SurfelBlend(surfels, texels)), config=PaintingConfig(color_step=2.0))
    most = (len(free.faces) + len(plain.faces)) // 2
    assert len(plain.faces) < len(paint_skin(shape, Paint(SurfelBlend(surfels, texels)), config=PaintingConfig(
        most, color_step=0.0)).faces) <= most
    assert len(paint_skin(shape, Paint(SurfelBlend(surfels, texels)), config=PaintingConfig(6)).faces) <= 6
    angle = np.linspace(0, np.pi / 2, 6)
    ends = np.stack([0 * angle, 0.5 * np.cos(angle) - 0.3, 0.5 * np.sin(angle) - 0.25], 1)
    corners = np.concatenate([[[-0.45, -0.3, -0.25], [0.45, -0.3, -0.25]], ends]).astype(np.float32)
    book = Mesh(corners, np.int32([[0, 1, row] for row in range(2, 8)]))
    paint = Paint(SurfelBlend(surfels, texels))
    count = len(paint_skin(book, paint, config=PaintingConfig(color_step=2.0)).faces)
    for room in (6, 20, 100):
        made = paint_skin(book, paint, config=PaintingConfig(count + room, color_step=0.0))
        assert count < len(made.faces) <= count + room, "edges that six faces share, too"
    twice = paint_skin(Mesh(corners, np.tile(book.faces, (2, 1))), paint, config=PaintingConfig(color_step=2.0))
    assert len(twice.faces) == count, "what is there twice is painted once"


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("winding", ["inside out", "each twice"])
def test_whatever_their_winding_says_faces_have_their_colour(halves, winding, smooth):
    shape, surfels, texels = halves
    back = shape.faces[:, ::-1]
    faces = back if winding == "inside out" else np.concatenate([shape.faces, back])
    normal = compute_face_normals(Mesh(shape.vertices, faces))[0]
    odd = Mesh(shape.vertices, faces, corner_normal=np.repeat(normal[:, None], 3, 1) if smooth else None)
    skin = paint_skin(odd, Paint(SurfelBlend(surfels, texels)))
    x = skin.vertices[:, 0]
    assert np.abs(skin.color[x < 0.09, :3] - [0.8, 0.05, 0.05]).max() < 0.02
    assert np.abs(skin.color[x > 0.11, :3] - [0.05, 0.6, 0.05]).max() < 0.02


def test_what_is_beyond_the_cube_is_not_black(halves):
    shape, surfels, texels = halves
    far = Mesh(np.concatenate([shape.vertices, np.float32([[2, 2, 2], [3, 2, 2], [2, 3, 2]])]),
               np.concatenate([shape.faces, np.int32([[8, 9, 10]])]))
    assert len(shape.vertices) == 8
    skin = paint_skin(far, Paint(SurfelBlend(surfels, texels)))
    assert skin.color[skin.vertices[:, 0] > 1, :3].max(1).min() > 0.2


def test_a_mesh_with_parts_cut_out_keeps_its_texels(model, photo):
    picture, camera = photo
    leaf = np.full((8, 8, 4), 255, np.uint8)
    leaf[:, :4, 3] = 0
    cut = replace(box(base_color_map=leaf), corner_uv=np.tile(np.float32([[0, 0], [1, 0], [1, 1]]), (12, 1, 1)))
    asset = create_from_image([Shot(picture, camera=camera)], mesh=cut, name="leaf", model=model)
    assert asset.skin is None and len(asset.texels)


def test_ramps_give_roughness_and_metallic_back(halves):
    """Drawn, beside a skin whose material says them."""
    shape, surfels, texels = halves
    skin = paint_skin(shape, Paint(SurfelBlend(surfels, texels)))
    np.testing.assert_allclose(skin.uv * RAMP, (np.float32([0.3, 1.0]) * (RAMP - 1) + 0.5) + 0 * skin.uv, atol=0.5)
    plain = replace(skin, materials=(replace(skin.materials[0], roughness=0.3, maps=(-1, -1, -1, -1)),))
    coords, material = voxelize(shape, surfels)
    pictures = []
    for each in (skin, plain):
        asset = NeuralAsset(coords, material, np.zeros((len(coords), 0), np.float16), surfels, skin=each)
        pictures.append(Renderer().render([Instance(asset, np.eye(4))], cameras.orbit(30, 20, 2.0, 40, 128, 128),
                                          uniform((1, 1, 1)), Settings(passes=("Roughness", "Metallic"))))
    for name in pictures[0]:
        np.testing.assert_allclose(pictures[0][name], pictures[1][name], atol=0.01)
    assert pictures[0]["Metallic"].max() > 0.99 and 0.28 < pictures[0]["Roughness"].max() < 0.32


def test_what_leans_has_the_surfels_normals(halves):
    shape, surfels, texels = halves
    normal = np.repeat(np.cross(*(shape.vertices[shape.faces[:, k]] - shape.vertices[shape.faces[:, 0]] for k in (1, 2))
                                )[:, None], 3, 1)
    smooth = Mesh(shape.vertices, shape.faces,
                  corner_normal=(normal / np.linalg.norm(normal, axis=2, keepdims=True)).astype(np.float32))
    leant = replace(surfels, shading_normal=(surfels.normal + np.float32([0, 0, 0.5])) / np.linalg.norm(
        surfels.normal + np.float32([0, 0, 0.5]), axis=1, keepdims=True))
    flat, leaning = (paint_skin(smooth, Paint(SurfelBlend(leant, texels)), leans) for leans in (False, True))
    front = (np.abs(flat.vertices[:, [0, 2]]) < 0.2).all(1) & (flat.vertices[:, 1] < -0.29)
    np.testing.assert_allclose(flat.normal[front], [[0, -1, 0]] * front.sum(), atol=1e-5)
    front = (np.abs(leaning.vertices[:, [0, 2]]) < 0.2).all(1) & (leaning.vertices[:, 1] < -0.29)
    np.testing.assert_allclose(leaning.normal[front], [[0, -0.894, 0.447]] * front.sum(), atol=0.01)


def test_colours_change_within_a_texel_of_where_they_are_told_to(halves):
    """What was drawn by texels was that sharp."""
    shape, surfels, texels = halves
    coords, material = voxelize(shape, surfels)
    asset = NeuralAsset(coords, material, np.zeros((len(coords), 0), np.float16), surfels,
                        skin=paint_skin(shape, Paint(SurfelBlend(surfels, texels))))
    drawn = Renderer().render([Instance(asset, np.eye(4))], cameras.orbit(0, 0, 2.0, 40, 512, 512), uniform((1, 1, 1)),
                              Settings(passes=("Base Color",)))["Base Color"]
    row = drawn[256, :, 1]
    inside = np.flatnonzero(drawn[256, :, :3].sum(1) > 0.3)
    between = ((row > 0.12) & (row < 0.53))[inside[2]:inside[-2]]
    assert 0 < between.sum() <= 6, "pixels of which 2.7 are as wide as a texel"


def test_assets_from_photos_have_such_a_skin(red):
    asset = red.asset
    assert asset.texels is None and asset.skin.color is not None and asset.skin.normal is not None
    x, _, _ = np.abs(asset.skin.vertices - asset.surfels.position.mean(0)).max(0)
    assert 0.3 < x < 0.6
    seen = asset.skin.vertices[:, 1] < asset.skin.vertices[:, 1].min() + 0.03
    color = np.median(asset.skin.color[seen, :3], 0)
    assert color[0] > 4 * max(color[1:]), color


def test_a_mesh_in_a_photos_colours_keeps_its_edges(clad):
    asset = clad.asset
    low, high = asset.skin.vertices.min(0), asset.skin.vertices.max(0)
    np.testing.assert_allclose([low, high], [[-0.45, -0.3, -0.25], [0.45, 0.3, 0.25]], atol=1e-4)


def test_what_photos_painted_is_unwrapped_and_keeps_its_colours(clad):
    asset = clad.asset
    skin = replace(asset.skin, color=np.where(asset.skin.vertices[:, :1] < 0, np.float32([0.7, 0.1, 0.1, 1]),
                                              np.float32([0.1, 0.1, 0.7, 1])))
    made = textured_mesh.make_mesh(replace(asset, skin=skin), asset.surfels, 512)
    [material] = made.materials
    height, width = material.base_color_map.shape[:2]
    column, row = np.floor(made.corner_uv.mean(1) * (width, -height) + (0, height)).astype(int).T
    shown = srgb_decode(material.base_color_map[row, column, :3] / 255)
    middle = made.vertices[made.faces].mean(1)[:, 0]
    np.testing.assert_allclose(shown[middle < -0.02], [[0.7, 0.1, 0.1]] * (middle < -0.02).sum(), atol=0.02)
    np.testing.assert_allclose(shown[middle > 0.02], [[0.1, 0.1, 0.7]] * (middle > 0.02).sum(), atol=0.02)


def test_the_guessed_part_is_shown_beside_the_seen_one(red):
    found = []
    asset = from_bytes(to_bytes(red.asset))
    for azimuth in (20, 200):
        made = Renderer().render([Instance(asset, np.eye(4))], cameras.orbit(azimuth, 15, 2.0, 40, 128, 128),
                                 uniform((1, 1, 1)), Settings(passes=("Combined", "Confidence")))
        found.append(np.median(made["Confidence"][made["Combined"][..., 3] > 0.99]))
    assert found[0] > 0.9 and found[1] < 0.1


def test_what_photos_show_finer_than_texels_is_painted_where_corners_are_dense(halves):
    """Stripes of 1 / 128 on the front alone, in the photo: dense corners have them, those elsewhere their surfels'."""
    shape, surfels, texels = halves
    stripes = lambda points: 0.1 * np.sin(2 * np.pi * 128 * points[:, :1]).repeat(3, 1)
    paint = Paint(SurfelBlend(surfels, texels), lambda points, facing: stripes(points) * (facing[:, 1:2] < -0.9))
    plain, fine = paint_skin(shape, Paint(SurfelBlend(surfels, texels))), paint_skin(shape, paint)
    front = (np.abs(fine.vertices[:, [0, 2]]) < 0.2).all(1) & (fine.vertices[:, 1] < -0.29)
    behind = (np.abs(fine.vertices[:, [0, 2]]) < 0.2).all(1) & (fine.vertices[:, 1] > 0.29)
    assert front.sum() > 5 * behind.sum() and len(fine.faces) > 1.5 * len(plain.faces)
    there = fine.vertices[front & (np.abs(fine.vertices[:, 0] - 0.1) > 0.02)]
    shown = srgb_encode(fine.color[front & (np.abs(fine.vertices[:, 0] - 0.1) > 0.02), :3])
    base = srgb_encode(np.where(there[:, :1] < 0.1, np.float32([0.8, 0.05, 0.05]), np.float32([0.05, 0.6, 0.05])))
    assert np.median(np.abs(shown - base - stripes(there))) < 0.01


def test_a_photos_own_pixels_are_seen_from_near_by(model, photo):
    """The same photo at twice the resolution, with a grid of fine lines drawn on it."""
    picture, camera = photo
    large = np.repeat(np.repeat(picture, 4, 0), 4, 1)
    large[::8, :, :3] //= 2
    wide = camera.resize(1024, 1024)
    made = {name: create_from_image([Shot(image, camera=wide)], mesh=box(), name="box", model=model)
            for name, image in (("fine", large), ("coarse", np.repeat(np.repeat(large[4::8, 4::8], 4, 0), 4, 1)))}
    spread = {}
    for name, asset in made.items():
        drawn = Renderer().render([Instance(asset, np.eye(4))], cameras.orbit(20, 15, 1.6, 40, 512, 512),
                                  uniform((1, 1, 1)), Settings(passes=("Base Color",)))["Base Color"]
        spread[name] = float(np.abs(np.diff(drawn[200:300, 256, 0])).mean())
    assert spread["fine"] > 3 * spread["coarse"], spread
