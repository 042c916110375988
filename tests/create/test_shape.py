"""The solid, its front and its surface."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create import shape
from near_core.create.config import ReconstructionConfig
from near_core.create.photo import Photo
from near_core.create.view import PhotoView, compute_cell_centres, look_at, project
from near_core.mesh import Mesh
from near_core.models.mini.layout import Picture
from near_core.scene import camera as cameras
from tests.create.pictures import view_of


def test_a_front_settles_where_the_solid_is_and_keeps_its_detail():
    camera = cameras.orbit(0, 0, 3, 30, 128, 128)
    front = np.full((128, 128), -0.1, np.float32)
    front[60:64, 60:64] -= 0.05
    logits = np.full((64, 64, 64), -5, np.float32)
    logits[:, 16:, :] = 5  # the cube's front quarter, towards -Y, is empty
    front_there = shape.align_front(view_of(camera, front), logits)
    assert np.median(front_there[20:108, 20:108]) == pytest.approx(-0.25, abs=0.015)
    assert front_there[40, 40] - front_there[62, 62] == pytest.approx(0.05, abs=0.01)


def test_a_leg_that_the_solid_lacks_is_not_where_something_else_is(model, monkeypatch):
    """Two upright legs, the solid of one of them gone in its middle, and a piece far behind there."""
    view = view_of(cameras.orbit(0, 0, 3, 22, 128, 128), np.full((128, 128), -0.2, np.float32))
    column = np.arange(128)
    view.mask[:] = (abs(column - 56) < 3) | (abs(column - 73) < 3)
    logits = np.full((64, 64, 64), -5, np.float32)
    logits[26:30, 19:23, :24] = logits[26:30, 19:23, 40:] = logits[34:38, 19:23] = 5
    logits[26:30, 56:60, 30:34] = 3
    fronts = []
    monkeypatch.setattr(shape, "predict_solid", lambda model, views: logits)
    monkeypatch.setattr(shape, "doubt_depth", lambda view, logits, config: fronts.append(view.front) or 1 / 0)
    with pytest.raises(ZeroDivisionError):  # the front is aligned by then
        shape.carve_solid(model, view)
    legs = np.where(view.mask, fronts[0], np.nan)
    assert np.nanmax(legs) < 0.05, "no part of a leg lies where that piece is"
    assert max(np.nanmax(np.abs(np.diff(legs, axis=axis))) for axis in (0, 1)) < 0.04, "no leg is torn"


def test_the_hidden_side_is_smoother_than_the_seen_one():
    """A rough ball, seen from the front."""
    away = np.linalg.norm(compute_cell_centres(128), axis=1).reshape(128, 128, 128)
    noise = np.random.default_rng(0).normal(0, 0.5, away.shape)
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.3, np.float32))
    place = shape.extract_surface(((0.35 - away) * 128 + noise).astype(np.float32), view).vertices
    radius = np.linalg.norm(place, axis=1)
    seen, hidden = radius[place[:, 1] < -0.3], radius[place[:, 1] > 0.1]
    assert hidden.std() < 0.75 * seen.std()
    assert hidden.mean() == pytest.approx(seen.mean(), abs=5e-4)


def test_what_is_hidden_has_no_lumps_where_it_is_thick():
    """A ball with lumps a fifth of the cube apart, and a plate beside it; their front half is seen."""
    x, y, z = compute_cell_centres(128).reshape(128, 128, 128, 3).transpose(3, 0, 1, 2)
    lumps = 1.5 * np.cos(10 * np.pi * x) * np.cos(10 * np.pi * z)
    ball = (0.25 - np.sqrt((x + 0.2) ** 2 + y ** 2 + z ** 2)) * 128 + lumps
    plate = np.minimum(1.5 - np.abs(x - 0.3) * 128, 30 - np.hypot(y, z) * 128)
    deep = np.clip(np.maximum(ball, plate), -4, 4).astype(np.float32)
    nowhere, fades = np.zeros(y.size), np.ones(128)
    smooth = shape._smooth_hidden(deep.ravel(), (y * 128).ravel(), nowhere, fades, ReconstructionConfig())
    np.testing.assert_array_equal(smooth[:, :64], deep[:, :64])
    on_ball = (np.abs(ball - lumps) < 1) & (y > 0.1) & (x < 0.1)
    assert (smooth - ball + lumps)[on_ball].std() < 0.75 * lumps[on_ball].std()
    on_plate = (plate > 0.5) & (y > 0.05)
    assert (smooth[on_plate] > 0).mean() > 0.98


def test_what_is_hidden_does_not_hang_over_the_ground():
    """The top half of a box whose front is seen, and a bar before it that ends above the ground."""
    x, y, z = compute_cell_centres(128).reshape(128, 128, 128, 3).transpose(3, 0, 1, 2)
    deep = (np.minimum(0.3 - np.maximum(np.abs(x), np.abs(y)), 0.3 - np.abs(z - 0.1)) * 128).clip(-4, 4)
    hidden = (y + 0.2) * 128
    bar = (np.abs(x) < 0.05) & (np.abs(y + 0.35) < 0.05) & (z > 0)
    deep = np.where(bar, 4, deep).astype(np.float32)
    fades = np.full(128, 0.01)
    made = shape._smooth_hidden(deep.ravel(), hidden.ravel(), np.zeros(y.size), fades, ReconstructionConfig())
    foot = (np.abs(x) < 0.25) & (z < -0.25)
    assert (made[foot & (y > -0.1) & (y < 0.25)] > 0).mean() > 0.98
    assert not (made[foot & (y < -0.2)] > 0).any()
    fades[:30] = 0.2
    made = shape._smooth_hidden(deep.ravel(), hidden.ravel(), np.zeros(y.size), fades, ReconstructionConfig())
    assert not (made[foot & (z < -0.36)] > 0).any(), "where the photo shows it narrower, it is"


def test_what_an_outline_frays_does_not_go_on_behind_it():
    """A block with a frayed side and a thin plate beside it, both cut by an outline that is seen from the front."""
    x, y, z = (compute_cell_centres(128) * 128).T.reshape(3, 128, 128, 128)
    side = 20 + 2 * np.cos(2 * np.pi * z / 8)
    outline = np.maximum(np.clip(np.minimum(side - x, x + 40), -1, 1), 1.2 - np.abs(x - 40)).astype(np.float32)
    deep = np.clip(np.minimum(outline, 40 - np.maximum(np.abs(y), np.abs(z))), -4, 4).astype(np.float32)
    behind = np.where(outline > -0.5, y + 40, shape.OUTSIDE).astype(np.float32)
    made = shape.round_sides(deep, behind, ReconstructionConfig(side_smoothing=5))
    reach = lambda field, at: (field[64:96, at, 40:88].clip(-1, 1) + 1).sum(0) / 2  # cells of x, for each z
    assert np.ptp(reach(made, 80)) < 0.5 * np.ptp(reach(deep, 80))
    assert reach(made, 80).mean() == pytest.approx(reach(deep, 80).mean(), abs=0.2)
    seen = (behind <= 0) & (behind != shape.OUTSIDE)
    np.testing.assert_array_equal(made[seen], deep[seen])
    np.testing.assert_allclose(made[102:107, 80, 40:88], deep[102:107, 80, 40:88], atol=0.3)
    assert (shape.round_sides(deep, behind, ReconstructionConfig()) == deep).all(), "where the camera is told"


def test_nothing_is_filled_behind_legs():
    """A seat, and below it what two legs hide: 5 cells wide."""
    x, y, z = compute_cell_centres(128).reshape(128, 128, 128, 3).transpose(3, 0, 1, 2)
    aside = np.maximum(np.abs(x), np.abs(y))
    deep = (np.minimum(0.3 - aside, 0.05 - np.abs(z - 0.1)) * 128).clip(-4, 4).astype(np.float32)
    hidden = np.where((z > 0.04) | (np.abs(np.abs(x) - 0.25) < 0.02), (y + 0.3) * 128, shape.OUTSIDE)
    fades = np.full(128, 0.01)
    made = shape._smooth_hidden(deep.ravel(), hidden.ravel(), np.zeros(y.size), fades, ReconstructionConfig())
    assert (made[(z < 0) & (np.abs(y) < 0.25)] > 0).mean() < 0.005
    assert (made[(np.abs(z - 0.1) < 0.03) & (aside < 0.2)] > 0).all()


def test_debris_is_dropped_and_the_photos_side_stays_sharp(model, monkeypatch):
    """A rough solid with a notch in front, and a crumb beside it."""
    logits = np.full((64, 64, 64), -5, np.float32)
    logits[16:48, 16:48, 16:48] = np.random.default_rng(0).normal(2, 3, (32, 32, 32))
    logits[52:54, 30:32, 30:32] = 5
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.25, np.float32))
    view.back = view.front.copy()
    view.photo = Photo(np.zeros((256, 256, 3)), np.ones((256, 256), np.float32), (0, 0, 256), (256, 256),
                       (0, 0, 256, 256))
    view.front[:, 62:66], view.torn[:, 84:] = -0.2, True
    view.material[:] = 0.5
    monkeypatch.setattr(shape, "predict_solid", lambda model, views: logits)
    monkeypatch.setattr(shape, "align_front", lambda view, *_: view.front)
    # neither straightened nor filled below
    config = ReconstructionConfig(thickness="full", hidden_weight=1e4, hang_fade=9)
    deep = shape.carve_solid(model, view, config=config)
    assert (deep[64, 32:36, 64] < 0).all() and (deep[40, 34:36, 64] > 0).all()
    bare = shape.carve_solid(model, view, config=replace(config, fair_smoothing=()))
    rough = lambda field: np.abs(np.diff(field[40:88, 60:88, 40:88], axis=0)).mean()
    assert rough(deep) < 0.8 * rough(bare)
    np.testing.assert_array_equal(deep[48:80, 30:34], bare[48:80, 30:34])  # not torn, nor their twins
    assert not (deep[103:110] > 0).any()


def test_nothing_stands_on_what_is_faint_in_a_matte(model, monkeypatch):
    """A thing seen from above, whose shadow below and mirrors beside it are a third opaque."""
    view = view_of(cameras.orbit(0, 20, 3, 30, 128, 128), np.full((128, 128), -0.2, np.float32))
    monkeypatch.setattr(shape, "predict_solid", lambda model, views: np.full((64, 64, 64), 2, np.float32))
    alpha = np.zeros((256, 256), np.float32)
    alpha[64:160, 80:176] = 1
    view.mask = alpha[::2, ::2] > 0.5
    view.image[Picture.ALPHA], view.front = view.mask, np.where(view.mask, view.front, 0).astype(np.float32)
    around, front, made = np.zeros_like(alpha), view.front, []
    around[50:180, 60:196] = 1
    for faint in (0, 0.3):
        shadowy = np.where(alpha > 0, alpha, faint * around).astype(np.float32)
        view.photo = Photo(np.zeros((256, 256, 3)), shadowy, (0, 0, 256), (256, 256), (80, 64, 176, 160))
        view.front = front  # not as it was aligned before
        made.append(shape.carve_solid(model, view, config=ReconstructionConfig(thickness="full")) > 0)
    lowest = [np.flatnonzero(each.any((0, 1)))[0] for each in made]
    assert lowest[0] - lowest[1] < 10, "it stands where what is opaque stands"


def test_the_surface_lies_at_the_photos_front(model, monkeypatch):
    monkeypatch.setattr(shape, "align_front", lambda view, *_: view.front)
    camera = cameras.orbit(0, 0, 3, 22, 256, 256)
    picture = Photo(np.full((256, 256, 3), 0.5, np.float32), np.zeros((256, 256), np.float32), (0, 0, 256), (256, 256),
                    (64, 64, 192, 192))
    picture.alpha[64:192, 64:192] = 1
    view = PhotoView(look_at(model, picture, camera), camera)
    view.front[:], view.torn[:] = -0.1, False
    mesh = shape.extract_surface(shape.carve_solid(model, view), view)
    facing = mesh.corner_normal[:, 0] @ np.array([0, -1, 0], np.float32) > 0.9
    front = mesh.vertices[mesh.faces[facing]].mean(1)
    assert np.median(front[:, 1]) == pytest.approx(-0.1, abs=0.6 / 128)
    assert np.abs(front[:, 0]).max() == pytest.approx(0.29, abs=0.03)  # 64 of 128 pixels either side, at distance 3


def test_what_reaches_beyond_the_networks_cube_finds_room():
    """A front that lies before the cube, and a solid that fills all of that, more to one side."""
    camera = cameras.orbit(0, 0, 3, 30, 128, 128)
    view = view_of(camera, np.full((128, 128), -0.62, np.float32))
    logits = np.full((64, 64, 64), 2, np.float32)
    logits[:20] = -2
    config = ReconstructionConfig(cube_room=0.05)
    before = project(np.float32([[-0.19, 0.1, 0.2]]), view.camera)[0]  # at the end of the solid
    moved = shape.make_room(view, logits, config)
    assert view.front.min() > -0.5, "the front is inside"
    place = np.argwhere(moved[:-1, 32, 32] * moved[1:, 32, 32] <= 0)[0, 0]
    size = camera.world_to_camera[2, 3] / view.camera.world_to_camera[2, 3]
    assert (place + 1) / 64 - 0.5 == pytest.approx(-12 / 64 / size, abs=1 / 64), "nothing moved aside"
    assert moved[place + 4, 40, 32] == pytest.approx(2, abs=0.01) and moved[-1, 32, 32] < 0, "but nothing is outside"
    after = project(np.float32([[-0.19, 0.1, 0.2]]) / np.float32(size)
                    - shifted(view, camera, size), view.camera)[0]
    np.testing.assert_allclose(after, before, atol=1e-4)
    assert shape.make_room(view, logits, ReconstructionConfig()) is logits


def shifted(view, camera, size: float) -> np.ndarray:
    """(3,) by how much a cube was moved, in units of the new one."""
    turn = camera.world_to_camera[:3, :3]
    return ((view.camera.world_to_camera[:3, 3] - camera.world_to_camera[:3, 3] / size) @ turn).astype(np.float32)


def test_one_photos_shape_fills_the_cube_and_is_seen_where_it_was():
    camera = cameras.orbit(20, 10, 3, 30, 128, 128)
    view = view_of(camera, np.full((128, 128), -0.2, np.float32))
    points = np.random.default_rng(0).uniform([-0.3, -0.45, -0.2], [0.2, 0.25, 0.4], (50, 3))
    mesh = Mesh(points.astype(np.float32), np.zeros((1, 3), np.int32))
    settled = shape.settle(mesh, view).vertices
    low, high = settled.min(0), settled.max(0)
    np.testing.assert_allclose(low + high, 0, atol=1e-5)
    assert (high - low).max() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(project(settled, view.camera)[0], project(mesh.vertices, camera)[0], atol=1e-4)


@pytest.mark.parametrize("hint", ["auto", "full"])
def test_who_says_full_gets_all_that_networks_think(model, monkeypatch, hint):
    """A ball's front, and a solid behind it as long as the cube, of which networks are not sure."""
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.zeros((128, 128), np.float32))
    y, x = (np.mgrid[:128, :128] - 63.5) / 20
    view.mask[:] = np.hypot(x, y) < 1
    view.normal[:] = np.stack([x, y, -np.sqrt(np.clip(1 - x * x - y * y, 0.01, None))])
    view.front[:] = np.where(view.mask, -0.4, 0)
    view.back[:] = view.front + 0.8
    alpha = view.mask.repeat(2, 0).repeat(2, 1).astype(np.float32)
    view.photo = Photo(np.zeros((256, 256, 3)), alpha, (0, 0, 256), (256, 256), (88, 88, 168, 168))
    logits = np.where(np.abs(compute_cell_centres(64)[:, 1]) < 0.4, 1.0, -5).reshape(64, 64, 64).astype(np.float32)
    monkeypatch.setattr(shape, "predict_solid", lambda model, views: logits)
    monkeypatch.setattr(shape, "doubt_depth", lambda view, logits, config: 0)
    made = [(shape.carve_solid(model, view, config=ReconstructionConfig(thickness=hint, closing=closing)) > 0).sum()
            for closing in (0, 1)]
    assert (made[1] == made[0]) == (hint == "full") and made[1] > 0
