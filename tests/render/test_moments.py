"""Blurred pictures against means of many sharp ones, each with its own light and camera."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from near_core.create.create import create_from_mesh
from near_core.mesh import Material, Mesh
from near_core.render import moments
from near_core.scene import INSTANCES, PASSES, Instance, Settings
from near_core.scene import camera as cameras
from near_core.scene import environment as environments
from near_core.scene.exposure import Lens, Shutter

SETTINGS = Settings(shading="transport", passes=(*PASSES, INSTANCES))
VIEW = cameras.orbit(0, 10, 3, 40, 96, 96)
SKY = environments.uniform((1, 1, 1))


@pytest.fixture(scope="module")
def box():
    """A cube with sides of six colours."""
    shape = trimesh.creation.box((0.6, 0.6, 0.6))
    colors = ((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8), (0.8, 0.8, 0.1), (0.1, 0.8, 0.8), (0.8, 0.1, 0.8))
    side = (np.abs(shape.face_normals).argmax(1) * 2 + (shape.face_normals.sum(1) > 0)).astype(np.int32)
    mesh = Mesh(np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32), material_index=side,
                materials=tuple(Material(base_color=(*color, 1)) for color in colors))
    return create_from_mesh(mesh, name="box")


def stand(x: float = 0.0, turned: float = 0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = environments.turn_z(turned)
    matrix[0, 3] = x
    return matrix


def measure(made: dict, truth: np.ndarray) -> float:
    return float(-10 * np.log10(((made["Combined"] - truth) ** 2).mean()))


@pytest.mark.parametrize("surface", ["skin", "surfels"])
def test_motion_is_the_mean_of_its_moments(renderer, box, surface):
    asset = box if surface == "skin" else replace(box, skin=None)
    keys = [(-0.15, -10.0), (0.0, 0.0), (0.15, 10.0)]
    shutter = Shutter([VIEW] * 3, np.array([[stand(*key)] for key in keys]))
    made = renderer.render([Instance(asset, stand())], VIEW, SKY, SETTINGS, shutter=shutter)
    truth = np.mean([renderer.render([Instance(asset, stand(0.3 * t, 20 * t))], VIEW, SKY, SETTINGS)["Combined"]
                     for t in (np.arange(24) + 0.5) / 24 - 0.5], 0)
    sharp = renderer.render([Instance(asset, stand())], VIEW, SKY, SETTINGS)
    assert measure(made, truth) > 33 and measure(made, truth) > measure(sharp, truth) + 10
    covered = made[INSTANCES][..., 1::2].sum(-1)
    np.testing.assert_allclose(covered, made["Combined"][..., 3], atol=0.03)
    assert made[INSTANCES][..., ::2].max() == 1


@pytest.mark.parametrize("view", [VIEW, replace(VIEW, orthographic=True, intrinsics=np.array(
    [[60.0, 0, 48], [0, 60, 48], [0, 0, 1]]))], ids=["perspective", "orthographic"])
def test_a_lens_is_the_mean_of_views_through_its_points(renderer, box, view):
    near, far = stand(-0.6), stand(0.9)
    near[1, 3], far[1, 3] = -0.5, 1.5
    instances, lens = [Instance(box, near), Instance(box, far)], Lens(0.15, 2.5)
    made = renderer.render(instances, view, SKY, SETTINGS, lens=lens)
    eye, right, down = view.position, view.world_to_camera[0, :3], view.world_to_camera[1, :3]
    focus = eye + 2.5 * view.forward
    pictures = []
    for x, y in lens.draw_points(24):
        place = eye + x * right + y * down
        to_camera = np.eye(4)
        if view.orthographic:  # a sheared view: parallel to the ray from the point to the focus
            to_camera[:3, :3] = view.world_to_camera[:3, :3]
            to_camera[:3, 3] = -to_camera[:3, :3] @ place
            shear = np.eye(4)
            shear[:2, 2] = x / 2.5, y / 2.5
            pictures.append(replace(view, world_to_camera=shear @ to_camera))
            continue
        to_camera[:3] = view.world_to_camera[:3]
        to_camera[:3, 3] = -to_camera[:3, :3] @ place
        seen = to_camera @ np.append(focus, 1)
        intrinsics = view.intrinsics.copy()
        intrinsics[:2, 2] -= (intrinsics[:2, :2] @ seen[:2]) / seen[2]
        pictures.append(replace(view, world_to_camera=to_camera, intrinsics=intrinsics))
    truth = np.mean([renderer.render(instances, each, SKY, SETTINGS)["Combined"] for each in pictures], 0)
    sharp = renderer.render(instances, view, SKY, SETTINGS)
    assert measure(made, truth) > 33 and measure(made, truth) > measure(sharp, truth) + 4


def test_what_stands_still_in_focus_is_sharp(renderer, box):
    still = Shutter([VIEW] * 2, np.array([[stand()], [stand()]]))
    assert moments.plan([Instance(box, stand())], VIEW, still, None, Settings(background=True)) is None
    sharp = renderer.render([Instance(box, stand())], VIEW, SKY, SETTINGS)
    beside = Instance(box, stand(1.2))
    moving = Shutter([VIEW] * 2, np.array([[stand(), stand(1.1)], [stand(), stand(1.3)]]))
    made = renderer.render([Instance(box, stand()), beside], VIEW, SKY, SETTINGS, shutter=moving)
    left = np.s_[:, :60]  # where nothing moves
    assert np.abs(made["Combined"][left] - sharp["Combined"][left]).mean() < 0.002 and renderer.blurred
    renderer.render([Instance(box, stand())], VIEW, SKY, SETTINGS, shutter=still)
    assert not renderer.blurred


def test_a_turning_camera_blurs_the_world_behind(renderer):
    map = np.zeros((64, 128, 3), np.float32)
    map[:, ::2] = 1
    world = environments.Environment(map)
    turned = [cameras.orbit(0, 0, 3, 40, 64, 64), cameras.orbit(6, 0, 3, 40, 64, 64)]
    shutter = Shutter(turned, np.zeros((2, 0, 4, 4)))
    settings = replace(SETTINGS, background=True)
    sharp, made = (renderer.render([], cameras.orbit(3, 0, 3, 40, 64, 64), world, settings, shutter=each)["Combined"]
                   for each in (None, shutter))
    assert made[..., 0].std() < 0.4 * sharp[..., 0].std()
    assert made[..., 0].mean() == pytest.approx(sharp[..., 0].mean(), abs=0.03)


def test_between_two_maps_turns_are_even():
    one, other = stand(0, 0), stand(2, 90) * [[2, 2, 2, 1]] * 1.0
    half = moments.interpolate(one, other, 0.5)
    turn = half[:3, :3] / np.linalg.norm(half[:3, :3], axis=0)
    np.testing.assert_allclose(turn, environments.turn_z(45), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(half[:3, :3], axis=0), 1.5, atol=1e-9)
    assert half[0, 3] == 1


def test_half_a_turn_is_a_turn():
    one = stand(0, 10)
    for other in (one @ stand(0, 180), np.diag([1.0, -1, -1, 1]) @ one):
        half, whole = (moments.interpolate(one, other, share)[:3, :3] for share in (0.5, 1.0))
        turn = one[:3, :3].T @ half
        np.testing.assert_allclose(half @ half.T, np.eye(3), atol=1e-9)
        assert np.trace(turn) == pytest.approx(1), "a quarter of a turn"
        np.testing.assert_allclose(whole, other[:3, :3], atol=1e-6)


def test_what_cannot_be_placed_does_not_move(box):
    lost = np.full((4, 4), np.nan)
    instances = [Instance(box, stand()), Instance(box, lost), Instance(box, stand())]
    shutter = Shutter([VIEW] * 2, np.array([[stand(-1), lost, stand()], [stand(1), lost, stand()]]))
    made = moments.plan(instances, VIEW, shutter, None)
    assert all(set(each.motions) == {1} for each in made.moments)


def test_what_has_no_size_for_a_moment_is_not_seen_then(renderer, box):
    """Its skin, too: seen from so near that the skin is drawn."""
    near, none = cameras.orbit(0, 10, 3, 12, 96, 96), np.diag([0.0, 0, 0, 1])
    shutter = Shutter([near] * 3, np.array([[none], [none], [stand()]]))
    made = renderer.render([Instance(box, stand())], near, SKY, SETTINGS, shutter=shutter)["Combined"]
    assert np.isfinite(made).all() and 0.1 < made[48, 48, 3] < 0.9


def test_fast_things_leave_no_row_of_ghosts(renderer, box):
    """Neither along their way nor out of focus: a step of what they cover is one of two moments of 31 or 28 at most."""
    shutter = Shutter([VIEW] * 2, np.array([[stand(-0.4)], [stand(0.4)]]))
    moved = renderer.render([Instance(box, stand())], VIEW, SKY, SETTINGS, shutter=shutter)
    unsharp = renderer.render([Instance(box, stand())], VIEW, SKY, SETTINGS, lens=Lens(0.4, 1.0))
    for made in (moved, unsharp):
        row = made["Combined"][VIEW.height // 2, :, 3]
        assert row.max() > 0.2 and np.abs(np.diff(row)).max() < 0.07


def test_what_glints_out_of_focus_is_no_row_of_dots(box):
    """It is spread over as much as lies between two points of the lens; what is sharp beside it stays as it is."""
    planned = moments.plan([Instance(box, stand())], VIEW, None, Lens(0.4, 1.0))
    image = np.zeros((96, 96, 5), np.float32)
    image[..., :2] = 1, 3
    image[:, 48:, 1] = 1  # in focus
    image[40, 20, 2:] = image[40, 60, 2:] = 100
    before = image.copy()
    wide = planned.soften(image, VIEW, slice(2, 5))
    np.testing.assert_array_equal(image[:, 48:], before[:, 48:])
    apart = wide[0, 0] * VIEW.intrinsics[0, 0] / 3
    assert wide[0, 90] == 0 and 4 < apart < 12
    assert image[40, 20, 2] == pytest.approx(100 / apart ** 2, rel=3)
    assert image[:, :48, 2].sum() == pytest.approx(100, rel=0.02)
    assert moments.plan([Instance(box, stand())], VIEW, Shutter([VIEW] * 2, np.array(
        [[stand(-1)], [stand(1)]])), None).soften(image, VIEW, slice(2, 5)).max() == 0


def test_places_in_a_pixel_go_with_no_time(box):
    """With a few places that take turns each row saw few moments: what moved one way had teeth along its edges."""
    shutter = Shutter([VIEW] * 2, np.array([[stand(-0.1)], [stand(0.1)]]))
    planned = moments.plan([Instance(box, stand())], VIEW, shutter, None)
    offsets = np.array([each.offset for each in planned.moments])
    assert len(np.unique(offsets, axis=0)) == len(offsets) == 24
    for some in np.lib.stride_tricks.sliding_window_view(offsets, 8, 0):
        assert (np.histogram2d(*some, 2, [[-2, 2]] * 2)[0] > 0).all(), "all quarters of the pixel at any time"
    for axis in (0, 1):
        assert abs(np.corrcoef(offsets[:, axis], np.arange(24) % 8)[0, 1]) < 0.5
