"""Colours of a surface that several photos show."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create import create, fusion
from near_core.create.config import LightFitConfig, ReconstructionConfig
from near_core.create.create import create_from_image, create_from_mesh
from near_core.create.fusion import even_out, follow_surface, fuse_photos, measure_front, spread
from near_core.create.hull import Silhouette, extract_mesh
from near_core.create.sampling import sample_surface
from near_core.create.shot import Shot
from near_core.create.symmetry import FRONT_BACK, LEFT_RIGHT, MIRRORS
from near_core.create.view import PhotoView, compute_cell_centres, look_at
from near_core.image import srgb_decode, srgb_encode
from near_core.scene import camera as cameras
from tests.create import test_alignment
from tests.create.pictures import box, photographed


def test_values_spread_from_where_they_are_known():
    place = np.float32([[-0.4, 0, 0], [-0.38, 0, 0], [0.4, 0, 0], [0.39, 0, 0]])
    values, weight = np.float32([[1], [9], [5], [9]]), np.float32([100, 0, 100, 0])
    made = spread(place, values, weight)[:, 0]
    assert made == pytest.approx([1, 1, 5, 5], abs=0.8)


def test_the_front_of_a_box_is_as_far_away_as_it_is(model):
    asset = create_from_mesh(box((0.6, 0.4, 0.5)), name="box", model=model)
    front = measure_front(asset.surfels.position, cameras.orbit(0, 0, 3, 22, 256, 256))
    assert front[64, 64] == pytest.approx(-0.2, abs=0.01) and np.isinf(front[2, 2])
    assert np.isfinite(front[40:88, 40:88]).all()


def test_each_side_takes_the_colour_of_the_photo_that_sees_it(model):
    """A box with sides of four colours in photos from four sides; the shape is told."""
    shape = box((0.7, 0.6, 0.5))
    asset = create_from_mesh(shape, name="box", model=model)
    tints = np.float32([[0.7, 0.1, 0.1], [0.1, 0.6, 0.1], [0.1, 0.1, 0.7], [0.6, 0.6, 0.1]])
    sides = [(1, -1), (0, 1), (1, 1), (0, -1)]
    color = tints[np.argmax([asset.surfels.normal[:, axis] * sign for axis, sign in sides], 0)]
    painted = replace(asset, surfels=replace(asset.surfels, base_color=color), skin=None)
    pictures = [photographed(painted, cameras.orbit(turn, 10, 2.9, 25, 128, 128)) for turn in (0, 90, 180, 270)]
    made = create_from_image([Shot(picture, camera=camera) for picture, camera in pictures], name="box", mesh=shape,
                             model=model)
    place, shown = made.surfels.position, made.surfels.base_color
    for (axis, sign), tint in zip(sides, tints):
        side = (made.surfels.normal[:, axis] * sign > 0.9) & (np.abs(place[:, 2]) < 0.15)
        mean = shown[side].mean(0)
        assert mean[tint > 0.3].min() > 1.5 * mean[tint < 0.3].max(), (axis, sign, mean)


def test_photos_in_mirrors_show_what_photos_do_not(model):
    """A ball that is its own image in 16 movements, in four photos from a little above: only below, a mirror shows
    more than they do, and only where it is given."""
    photos, cropped = test_alignment.photographed((0, 90, 180, 270), balls=np.array([[0.0, 0, 0, 0.3]]))
    views = [PhotoView(look_at(model, photo, camera), camera) for photo, camera in zip(photos, cropped)]
    away = np.linalg.norm(compute_cell_centres(128), axis=1).reshape((128,) * 3)
    surfels, texels = sample_surface(extract_mesh((0.3 - away).astype(np.float32) * 128, (), 16))
    follow_surface(views, surfels.position)
    outlines, config = [Silhouette(view.photo, view.camera) for view in views], ReconstructionConfig()
    chosen = fusion._choose_twins(surfels, views, outlines, MIRRORS, config)
    assert 0 < len(chosen) <= config.mirror_most and all(movement.signs[2] < 0 for _, movement in chosen)
    assert not fusion._choose_twins(surfels, views, outlines, (LEFT_RIGHT, FRONT_BACK), config)
    below = surfels.position[:, 2] < -0.25
    made = {name: fuse_photos(surfels, texels, views, mirrors, replace(config, symmetry=symmetry))[0].base_color[below]
            for name, mirrors, symmetry in (("all", MIRRORS, "auto"), ("none", (), "auto"), ("off", MIRRORS, "off"))}
    np.testing.assert_array_equal(made["none"], made["off"])
    assert np.abs(made["all"] - made["none"]).max() > 0.01


def test_mirrors_that_carve_are_those_that_colour(model, monkeypatch):
    """Those that tests of evidence.py see, and all of them where a mesh is told."""

    class Asked(Exception):
        """With the mirrors that colours are asked of."""

    def ask(surfels, texels, views, mirrors, config):
        raise Asked(mirrors)

    mesh = box((0.7, 0.6, 0.5))
    asset = replace(create_from_mesh(mesh, name="box", model=model), skin=None)
    shots = [Shot(picture, camera=camera) for picture, camera in
             (photographed(asset, cameras.orbit(turn, 10, 2.9, 25, 128, 128)) for turn in (-8, 8))]
    monkeypatch.setattr(create, "fuse_photos", ask)
    monkeypatch.setattr(create, "reconstruct_surface", lambda *given: (mesh, (LEFT_RIGHT,)))
    for options, known in (({}, False), ({"mesh": mesh}, True)):
        with pytest.raises(Asked) as asked:
            create_from_image(shots, name="box", model=model, **options)
        assert (FRONT_BACK in asked.value.args[0]) == known and LEFT_RIGHT in asked.value.args[0]


def test_photos_that_differ_in_exposure_agree_afterwards():
    rng = np.random.default_rng(0)
    color = srgb_encode(rng.uniform(0.05, 0.3, (300, 3)).astype(np.float32))
    brighter = srgb_encode(np.clip(srgb_decode(color) * np.float32([2, 1.5, 1]), 0, 1))
    weight = np.ones((2, 300), np.float32)
    weight[0, 200:], weight[1, :100] = 0, 0  # only a third is seen by both
    first, second = even_out(np.stack([color, brighter]), weight, np.arange(2), LightFitConfig(even_stiffness=1e-4))
    np.testing.assert_allclose(first, second, atol=0.01)
    between = srgb_encode(srgb_decode(color) * np.sqrt(np.float32([2, 1.5, 1])))
    np.testing.assert_allclose(first, between, atol=0.01)
    mirrored = np.stack([color, brighter, 1 - color])  # both sides may be of different colours
    again = even_out(mirrored, np.ones((3, 300), np.float32), np.array([0, 1, 0]), LightFitConfig(even_stiffness=1e-4))
    alone = even_out(mirrored[:2], np.ones((2, 300), np.float32), np.arange(2), LightFitConfig(even_stiffness=1e-4))
    np.testing.assert_array_equal(again[:2], alone)
    gain = lambda made, plain: (srgb_decode(made) / srgb_decode(plain)).mean(0)
    np.testing.assert_allclose(gain(again[2], 1 - color), gain(again[0], color), rtol=0.02)
