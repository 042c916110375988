"""Where things end in photos from their sides."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull

from near_core.create.alignment import measure_hull
from near_core.create.config import AlignmentConfig
from near_core.create.ends import settle_frame
from near_core.create.photo import prepare
from near_core.create.symmetry import LEFT_RIGHT
from near_core.create.view import lift_pixels, project, recentre
from near_core.mesh import Mesh
from near_core.scene import camera as cameras
from tests.create.pictures import view_of

SIDES = (0, 90, 180, -90)
BOX = trimesh.creation.box((1, 0.8, 0.5))
BALL = trimesh.creation.icosphere(3).apply_scale((0.5, 0.5, 0.3))
# at one end a wide flat edge, at the other one that is narrow
WEDGE = trimesh.convex.convex_hull(np.array([[x, y, z] for x, wide in ((0.5, 0.4), (-0.5, 0.02))
                                             for y in (-wide, wide) for z in (-0.2, 0.2)]))


def photograph(solid: trimesh.Trimesh, azimuths=SIDES, distance=2.5, fov=40.0):
    """A convex solid, close points on it, in the frame in which the hull of its outlines fills the cube, and views."""
    photos, places = [], []
    for azimuth in azimuths:
        camera = cameras.orbit(azimuth, 10, distance, fov, 400, 400)
        uv = project(np.asarray(solid.vertices, np.float32), camera)[0]
        picture = Image.new("L", (1600, 1600))
        ImageDraw.Draw(picture).polygon([tuple(corner) for corner in (uv[ConvexHull(uv).vertices] + 1) * 800], fill=255)
        alpha = np.asarray(picture.resize((400, 400), Image.Resampling.BOX))
        photos.append(prepare(np.dstack([np.full((400, 400, 3), 150, np.uint8), alpha])))
        places.append(photos[-1].cropped(camera))
    low, high = measure_hull(photos, [recentre(each, np.zeros(3), 1.5) for each in places], AlignmentConfig())
    middle, size = 1.5 * (low + high) / 2, 1.5 * float((high - low).max())
    points = (trimesh.sample.sample_surface(solid, 20_000, seed=0)[0] - middle) / size
    views = [view_of(recentre(camera, middle, size), np.zeros((128, 128), np.float32)) for camera in places]
    for view, photo in zip(views, photos):
        view.photo = photo
    return Mesh(points.astype(np.float32), np.array([[0, 1, 2]], np.int32)), views


def measure_frame(views, distance=2.5):
    """The asset's edge and its middle in the frame in which a solid was photographed from its sides."""
    size = distance / np.mean([np.linalg.norm(view.camera.position) for view in views])
    return size, -size * np.mean([view.camera.position for view in views], 0)[:2]


@pytest.mark.parametrize("solid, hull", [(BOX, 1.18), (BALL, 1.02)])
def test_a_box_is_smaller_than_its_hull_and_a_ball_is_not(solid, hull):
    shape, views = photograph(solid)
    assert hull < measure_frame(views)[0] < hull + 0.02
    settled = settle_frame(shape, views)
    assert measure_frame(views)[0] == pytest.approx(1, abs=0.015)
    assert np.ptp(settled.vertices, axis=0).max() == pytest.approx(1, abs=0.03) and abs(settled.vertices).max() <= 0.5


@pytest.mark.parametrize("solid", [BOX, BALL, WEDGE])
def test_what_is_drawn_without_perspective_stays(solid):
    shape, views = photograph(solid, distance=417, fov=0.25)
    settled = settle_frame(shape, views)
    np.testing.assert_allclose(settled.vertices, shape.vertices, atol=0.01)


def test_the_middle_is_not_drawn_to_a_flat_end():
    shape, views = photograph(WEDGE)
    before = measure_frame(views)[1]
    settle_frame(shape, views)
    assert before[0] > 0.02 and abs(measure_frame(views)[1]).max() < 0.4 * before[0]


def test_photos_stay_on_the_shape_and_their_fronts_with_it():
    shape, views = photograph(WEDGE)
    uv = [project(shape.vertices, view.camera)[0] for view in views]
    front, everywhere = lift_pixels(views[0], views[0].mask), np.abs(shape.vertices[:, 0]) < 0.3
    settled = settle_frame(shape, views)
    for seen, view in zip(uv, views):
        np.testing.assert_allclose(project(settled.vertices, view.camera)[0][everywhere], seen[everywhere], atol=1e-4)
    moved, inner = lift_pixels(views[0], views[0].mask), np.flatnonzero(everywhere)
    ours, theirs = shape.vertices[inner], settled.vertices[inner]
    times, shift = np.polyfit(ours[:, 0], theirs[:, 0], 1)
    np.testing.assert_allclose(moved[:, 0], times * front[:, 0] + shift, atol=1e-4)


def test_what_lies_beyond_a_flat_end_is_cut_off():
    shape, views = photograph(BOX)
    beyond = shape.vertices.copy()
    beyond[:, 0] *= 1.08 - 0.08 * np.abs(beyond[:, 1]) / np.abs(beyond[:, 1]).max()
    settled = settle_frame(replace(shape, vertices=beyond), views)
    assert measure_frame(views)[0] == pytest.approx(1, abs=0.025)
    assert (np.abs(settled.vertices[:, 0]) > 0.495).mean() > 0.18


def test_a_mirror_stays_in_the_middle():
    shape, views = photograph(WEDGE)
    before = measure_frame(views)[1][0]
    size = settle_frame(shape, views, (LEFT_RIGHT,)) is not shape and measure_frame(views)[0]
    assert measure_frame(views)[1][0] == pytest.approx(before, abs=1e-4) and size < 1.05


@pytest.mark.parametrize("azimuths", [(0, 45, 90), (30, 120, 210, 300), (0, 180)])
def test_what_photos_see_along_no_side_or_along_one_axis_stays(azimuths):
    shape, views = photograph(BOX, azimuths)
    assert settle_frame(shape, views) is shape
