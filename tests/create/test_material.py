"""What surfels and voxels take from a photo."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.asset import Surfels, Texels
from near_core.create.material import (
    blend_hidden_material,
    blend_normals,
    boost_metallic,
    gather_pixels,
    project_photo,
    widen_roughness,
)
from near_core.create.photo import Photo
from near_core.create.view import LayerView
from near_core.image import srgb_decode, srgb_encode
from near_core.models.mini.layout import LAYERS, PICTURE, PIXEL, Layer, Pixel
from near_core.scene import camera as cameras
from tests.create.pictures import view_of
from tests.surfaces import lay


def test_what_is_hidden_takes_after_what_is_seen_before_it():
    """Left half red, right half blue; points at the back, on either side, are hidden."""
    camera = cameras.orbit(0, 0, 3, 30, 128, 128)
    image, layers = np.ones((PICTURE, 128, 128), np.float32), np.full((LAYERS, 128, 128), 0.5, np.float32)
    layers[Layer.DEPTH] = -0.2
    color = layers[Layer.BASE_COLOR]
    color[..., :64], color[..., 64:] = np.float32([1, 0, 0])[:, None, None], np.float32([0, 0, 1])[:, None, None]
    view = LayerView(camera, image, layers)
    points = np.float32([[-0.4, 0.3, 0.1], [0.4, 0.3, 0.1]])
    pixel, seen = gather_pixels(view, points, np.float32([[0, 1, 0], [0, 1, 0]]))
    assert pixel.shape == (2, PIXEL) and not seen.any()
    np.testing.assert_allclose(pixel[:, Pixel.WHOLE][:, :3], [[0.5, 0, 0.5]] * 2, atol=1e-3)
    np.testing.assert_allclose(pixel[:, Pixel.AROUND][:, :3], [[1, 0, 0], [0, 0, 1]], atol=0.02)


def test_normals_lean_to_those_the_photo_shows():
    """Surfels that face the camera, at its front and behind it, and a photo whose normals all point up and to it."""
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.2, np.float32))
    view.normal = np.broadcast_to(np.float32([0, -1, -1])[:, None, None], (3, 128, 128))  # up, to the camera
    towards = np.float32([0, -1, 0])
    normal = np.stack([towards, towards, -towards])
    surfels = lay([[0, -0.2, 0], [0, 0.2, 0], [0, -0.2, 0]], normal)
    made = blend_normals(surfels, view).shading_normal
    half = (towards + np.float32([0, -1, 1]) / np.sqrt(2)) / 2
    assert made[0] == pytest.approx(half / np.linalg.norm(half), abs=1e-3)
    np.testing.assert_allclose(made[1:], normal[1:], atol=1e-6)  # hidden, and turned away


def grey_surfels(place: np.ndarray, normal: np.ndarray, **fields) -> Surfels:
    return replace(lay(place, normal, 0.5, 0.3, 1), **fields)


def test_a_photo_paints_what_it_shows_and_nothing_else():
    """Display grey of 0.5 in the layers, black at first: what faces the camera takes it, what is hidden or turned away
    does not."""
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.2, np.float32))
    grey = np.full((256, 256, 3), srgb_decode(np.float32(0.5)), np.float32)
    view.photo = Photo(grey, np.ones((256, 256), np.float32), (0, 0, 256), (256, 256), (0, 0, 256, 256))
    view.display = np.full((3, 256, 256), 0.5, np.float32)
    view.image[:3] = 0  # display grey, over grey
    place = np.float32([[0, -0.2, 0], [0, 0.2, 0], [0, -0.2, 0]])
    normal = np.float32([[0, -1, 0], [0, -1, 0], [0, 1, 0]])
    black = grey_surfels(place, normal, base_color=np.zeros((3, 3), np.float32), confidence=np.zeros(3, np.float32))
    texels = Texels(np.arange(3, dtype=np.int32), place, np.zeros((3, 3), np.float32), np.ones(3, np.float32))
    made, finer = project_photo(black, texels, view)
    np.testing.assert_allclose(made.base_color[0], srgb_decode(np.float32(0.5)), atol=1e-3)
    assert made.roughness[0] == pytest.approx(0.5, abs=1e-3) and made.confidence.tolist() == [1, 0, 0]
    assert not made.base_color[1:].any() and not finer.shift.any()


def test_hidden_surfels_lean_to_the_photos_material_by_the_share():
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.2, np.float32))
    behind = grey_surfels(np.float32([[0.1, 0.3, 0]]), np.float32([[0, 1, 0]]), base_color=np.zeros((1, 3), np.float32))
    for share, display in ((0.0, 0.0), (0.5, 0.25), (1.0, 0.5)):
        made = blend_hidden_material(behind, view, share)
        np.testing.assert_allclose(srgb_encode(made.base_color), display, atol=2e-3)
        assert made.roughness[0] == pytest.approx(0.3 + share * 0.2, abs=1e-3)


def test_the_farther_behind_the_broader_what_is_seen_through():
    """A red spot on grey: right behind it the surface is red, far behind it grey; the mirror image counts where it is
    seen."""
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.2, np.float32))
    view.material[:3, 58:70, 76:88] = np.float32([1, 0, 0])[:, None, None]
    back = np.float32([[0, 1, 0]] * 2)
    behind = grey_surfels(np.float32([[0.214, -0.16, 0], [0.249, 0.3, 0]]), back)
    near, far = srgb_encode(blend_hidden_material(behind, view, 1.0).base_color)
    assert near[0] > 0.85 and near[1] < 0.15 and far == pytest.approx([0.5] * 3, abs=0.05)
    mirrored = grey_surfels(np.float32([[-0.211, -0.2, 0]]), np.float32([[0, -1, 0]]))
    assert blend_hidden_material(mirrored, view, 1.0).base_color[0] == pytest.approx([1, 0, 0], abs=0.02)


def test_what_is_hidden_takes_the_colour_of_what_stands_as_high():
    """A red lid on grey, from 30 degrees above: along the view the red is before the rear's upper half, too; level
    before the rear it ends where the front has it."""
    camera = cameras.orbit(0, 30, 3, 30, 128, 128)
    y, x = (np.mgrid[:128, :128] + 0.5) / 128 * 2 - 1
    ray = np.stack([x, y, np.full_like(x, 1 / np.tan(np.radians(15)))])
    towards = camera.world_to_camera[:3, :3].T @ ray.reshape(3, -1)
    far = (-0.2 - camera.position[1]) / towards[1].reshape(128, 128)  # the front stands at y = -0.2
    view = view_of(camera, (far * ray[2] - camera.world_to_camera[2, 3]).astype(np.float32))
    high = camera.position[2] + far * towards[2].reshape(128, 128)
    view.material[:3, high > 0.1] = np.float32([1, 0, 0])[:, None]
    rear = grey_surfels(np.float32([[0.2, 0.2, 0.25], [0.2, 0.2, -0.05]]), np.float32([[0, 1, 0]] * 2))
    upper, lower = srgb_encode(blend_hidden_material(rear, view, 1.0).base_color)
    assert upper[0] > 0.9 and upper[1] < 0.1 and lower == pytest.approx([0.5] * 3, abs=0.05)


@pytest.mark.parametrize("elevation", [75, 85, 90])
def test_from_far_above_what_lies_right_behind_the_front_is_as_sharp(elevation):
    """A red spot on grey: there is next to nothing level before what lies below it."""
    view = view_of(cameras.orbit(0, elevation, 3, 30, 128, 128), np.full((128, 128), -0.2, np.float32))
    view.material[:3, 58:70, 58:70] = np.float32([1, 0, 0])[:, None, None]
    below = grey_surfels(-0.17 * view.camera.forward[None].astype(np.float32), np.float32([[0, 0, -1]]))
    made = srgb_encode(blend_hidden_material(below, view, 1.0).base_color)[0]
    assert made[0] > 0.85 and made[1] < 0.15


def test_the_rear_of_what_was_turned_looks_like_its_front():
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.2, np.float32))
    view.material[:3, 58:70, 76:88] = np.float32([1, 0, 0])[:, None, None]
    side = np.float32([[0.211, 1, 0], [-0.211, 1, 0]])
    all_around = grey_surfels(np.concatenate([side * (1, sign * 0.2, 1) for sign in (-1, 1)]).astype(np.float32),
                              np.float32([[0, -1, 0]] * 2 + [[0, 1, 0]] * 2))
    red, grey = [1, 0, 0], srgb_decode(np.float32([0.5] * 3))
    made = blend_hidden_material(all_around, view, 1.0, turned=True)
    np.testing.assert_allclose(made.base_color[2:], [red, grey], atol=0.02)
    assert blend_hidden_material(all_around, view, 1.0).base_color[2] == pytest.approx(grey, abs=0.05)


def test_a_photo_paints_nothing_beside_its_object():
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.2, np.float32))
    view.mask[:, 64:] = False
    grey, opaque = np.full((256, 256, 3), 0.2, np.float32), np.ones((256, 256), np.float32)
    view.photo = Photo(grey, opaque, (0, 0, 256), (256, 256), (0, 0, 256, 256))
    view.display = np.full((3, 256, 256), 0.5, np.float32)
    place = np.float32([[-0.1, -0.2, 0], [0.014, -0.2, 0], [0.2, -0.2, 0]])  # within, a pixel beside, far away
    facing = grey_surfels(place, np.float32([[0, -1, 0]] * 3), base_color=np.ones((3, 3), np.float32),
                          confidence=np.zeros(3, np.float32))
    none = Texels(np.zeros(0, np.int32), np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32),
                  np.zeros(0, np.float32))
    made = project_photo(facing, none, view)[0]
    assert made.confidence.tolist() == [1, 0, 0] and (made.base_color[1:] == 1).all()


def test_what_is_half_a_metal_becomes_one():
    place, up = np.zeros((3, 3), np.float32), np.float32([[0, 0, 1]] * 3)
    surfels = grey_surfels(place, up, metallic=np.float32([0.02, 0.3, 0.7]))
    np.testing.assert_allclose(boost_metallic(surfels, 2).metallic, [0.04, 0.6, 1])


def test_unknown_normals_make_a_surface_rougher():
    place = np.zeros((1, 3), np.float32)
    shiny, dull = (grey_surfels(place, np.float32([[0, 0, 1]]), roughness=np.float32([r])) for r in (0.1, 1.0))
    assert widen_roughness(shiny, 0.4).roughness[0] == pytest.approx((0.1**4 + 0.16) ** 0.25, abs=1e-5)
    assert widen_roughness(shiny, 0.0).roughness[0] == pytest.approx(0.1, abs=1e-5)
    assert widen_roughness(dull, 0.4).roughness[0] == 1
