"""Evidence inside outlines."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create import evidence
from near_core.create.config import FusionConfig, ReconstructionConfig
from near_core.create.evidence import (
    bound_object,
    close_gaps,
    doubt_beyond,
    flatten_solid,
    measure_lack,
    resize_grid,
    tell_mirrors,
    weigh_evidence,
)
from near_core.create.hull import Silhouette, carve_hull, extract_mesh
from near_core.create.symmetry import FRONT_BACK, LEFT_RIGHT, MIRRORS, TOP_BOTTOM
from near_core.create.view import PhotoView, compute_cell_centres, look_at, project
from near_core.scene import camera as cameras
from tests.create.pictures import view_of
from tests.create.test_alignment import photographed


def test_a_grid_keeps_linear_values_at_another_size():
    centres = compute_cell_centres(128).reshape(128, 128, 128, 3)
    finer = compute_cell_centres(192).reshape(192, 192, 192, 3)
    made = resize_grid(centres[..., 0] + 2 * centres[..., 2], 192)
    inner = slice(4, -4)
    expected = (finer[..., 0] + 2 * finer[..., 2])[inner, inner, inner]
    np.testing.assert_allclose(made[inner, inner, inner], expected, atol=1e-5)


def block_with(*fins, turn=20):
    """Views from the front, turned aside, and a hull (128, 128, 128), a block with fins, slices of its cells."""
    hull = np.full((128, 128, 128), -4, np.float32)
    hull[40:88, 34:94, 44:84] = 4
    for fin in fins:
        hull[fin] = 4
    return [view_of(cameras.orbit(turn, 20, 3, 18, 128, 128), np.zeros((128, 128), np.float32))], hull


def test_a_mirror_image_must_not_carve_what_outlines_show():
    """A block, one with a fin on its right, in front or on top alone, which its mirror image would carve off, and one
    that stands beside the middle."""
    config = ReconstructionConfig()
    views, block = block_with()
    assert tell_mirrors(views, block, config) == (LEFT_RIGHT, FRONT_BACK, TOP_BOTTOM)
    assert tell_mirrors(views, block, replace(config, symmetry="off")) == ()
    for mirror, fin in ((LEFT_RIGHT, np.s_[88:104, 50:78, 44:84]), (FRONT_BACK, np.s_[50:78, 18:34, 44:84]),
                        (TOP_BOTTOM, np.s_[50:78, 50:78, 84:104])):
        found = tell_mirrors(*block_with(fin), config)
        assert mirror not in found and len(found) == 2
    assert LEFT_RIGHT not in tell_mirrors(views, np.roll(block, 6, 0), config)
    assert LEFT_RIGHT in tell_mirrors(views, np.roll(block, 6, 0), replace(config, symmetry="on"))


def test_what_is_as_wide_as_deep_is_so_in_every_mirror():
    views, hull = block_with()
    cube = np.maximum(hull, hull.swapaxes(0, 1))
    assert tell_mirrors(views, cube, ReconstructionConfig()) == MIRRORS
    fin = np.s_[50:78, 18:34, 44:84]
    cube[fin] = cube.swapaxes(0, 1)[fin] = 4  # in front and on the left alone
    assert tell_mirrors(views, cube, ReconstructionConfig()) == (TOP_BOTTOM,)


@pytest.mark.parametrize("knob", [np.s_[62:66, 18:34, 62:66], np.s_[63:65, 18:34, 63:65]])
def test_however_thin_it_is_what_photos_show_is_not_cut(knob):
    """A block, four photos and a knob or a wire in front that all of them show: next to nothing of their pixels."""
    _, hull = block_with(knob)
    blank = np.zeros((128, 128), np.float32)
    views = [view_of(cameras.orbit(turn, 15, 3, 20, 128, 128), blank) for turn in (50, 70, -50, -70)]
    assert tell_mirrors(views, hull, ReconstructionConfig()) == (LEFT_RIGHT, TOP_BOTTOM)
    short = np.full_like(hull, -4)
    short[40:88, 33:94, 44:84] = 4  # a rim before a side, as outlines have that are a little off
    assert FRONT_BACK in tell_mirrors(views, short, ReconstructionConfig())


def test_a_photo_tells_nothing_of_a_mirror_that_it_looks_straight_at():
    views, hull = block_with(np.s_[50:78, 18:34, 60:68], turn=0)
    level = [view_of(cameras.orbit(0, 5, 3, 18, 128, 128), np.zeros((128, 128), np.float32))]
    assert tell_mirrors(level, hull, ReconstructionConfig()) == (LEFT_RIGHT, TOP_BOTTOM)
    assert FRONT_BACK in tell_mirrors(level, hull, ReconstructionConfig(mirror_facing=1))


def test_what_a_mirror_image_would_carve_stays(model, monkeypatch):
    """A ball, the only thing that the networks see, with a thin rod on its right."""
    rod = [[0.15 + 0.02 * n, 0, 0.25 + 0.02 * n, 0.035] for n in range(10)]
    photos, cropped = photographed((0, 90, 180, 270), balls=np.array([[0.0, 0, 0, 0.28], *rod]))
    views = [PhotoView(look_at(model, photo, camera), camera) for photo, camera in zip(photos, cropped)]
    away = np.linalg.norm(compute_cell_centres(64), axis=1)
    likely = np.clip((0.28 - away) * 100, -8, 8).reshape((64,) * 3).astype(np.float32)
    monkeypatch.setattr(evidence, "predict_solid", lambda model, views: likely.copy())
    mesh, mirrors = evidence.reconstruct_surface(model, views)
    assert (mesh.vertices[:, 2] > 0.35).any() and LEFT_RIGHT not in mirrors
    hull, lax = carve_hull([Silhouette(view.photo, view.camera) for view in views], 128), ReconstructionConfig(
        mirror_gap=np.inf, mirror_rim=128)
    assert LEFT_RIGHT in tell_mirrors(views, hull, lax), "else nothing is tried here"


def test_a_shape_grows_as_far_as_its_photos_show_it(model, monkeypatch):
    """A ball, in photos from around and as a mesh that is a cell smaller, as large and a cell larger."""
    photos, cropped = photographed((0, 90, 180, 270), balls=np.array([[0.0, 0, 0, 0.3]]))
    views = [PhotoView(look_at(model, photo, camera), camera) for photo, camera in zip(photos, cropped)]
    away = np.linalg.norm(compute_cell_centres(128), axis=1).reshape((128,) * 3)
    for cells in (-1, 0, 1):
        mesh = extract_mesh((0.3 - away).astype(np.float32) * 128 + cells, ())
        assert measure_lack(mesh, views) == pytest.approx(-cells, abs=0.25)
    before = []
    monkeypatch.setattr(evidence, "measure_lack", lambda mesh, views: before.append(mesh) or 2.0)
    after, _ = evidence.reconstruct_surface(model, views)
    small, large = (np.ptp(mesh.vertices, axis=0).mean() * 128 for mesh in (before[0], after))
    assert 0.3 < large - small < 1.2  # half a cell on each side, at most


def test_what_is_nearly_nothing_does_not_grow_into_specks(model, monkeypatch):
    """A ball in a wider outline, and beside it a few cells that growth by half a cell would make solid."""
    photos, cropped = photographed((0, 90, 180, 270), balls=np.array([[0.0, 0, 0, 0.4]]))
    views = [PhotoView(look_at(model, photo, camera), camera) for photo, camera in zip(photos, cropped)]
    away = np.linalg.norm(compute_cell_centres(128), axis=1).reshape((128,) * 3)
    solid = np.clip((0.2 - away) * 128, -4, 4).astype(np.float32)
    solid[62:66, 62:66, 98:102] = -0.2
    monkeypatch.setattr(evidence, "weigh_evidence", lambda *given: solid.copy())
    monkeypatch.setattr(evidence, "measure_lack", lambda mesh, views: 2.0)
    mesh, _ = evidence.reconstruct_surface(model, views, config=ReconstructionConfig(symmetry="off"))
    farthest = np.linalg.norm(mesh.vertices, axis=1).max() * 128
    assert 0.2 * 128 < farthest < 0.2 * 128 + 2


def test_what_is_filled_on_one_side_stays_when_both_are_one():
    """A photo from the right of a block of which nothing seems likely: what fills its outline does so on the left, too,
    and what the front says against it does not undo that."""
    view = view_of(cameras.orbit(40, 0, 3, 18, 128, 128), np.full((128, 128), -0.3, np.float32))
    hull = np.full((128, 128, 128), -4, np.float32)
    hull[40:88, 40:88, 30:70] = 4
    solid = weigh_evidence([view], np.full((64, 64, 64), -8, np.float32), hull, mirrors=[LEFT_RIGHT])
    np.testing.assert_array_equal(solid, solid[::-1])
    lines = evidence._Sightlines(view, compute_cell_centres(128)[np.flatnonzero(hull > 0)])
    assert (lines.find_deepest(solid.ravel()[np.flatnonzero(hull > 0)])[lines.known] > 0).mean() > 0.98


@pytest.mark.parametrize("missing", [0, 8])
def test_what_outlines_show_is_filled_where_evidence_lacks(missing):
    """A photo from the front that shows an object everywhere, and a solid that fills the front half of the cube; or
    that is missing on one side of the photo, which cannot be: there something is filled in, and nowhere else."""
    view = view_of(cameras.orbit(0, 0, 3, 18, 128, 128), np.full((128, 128), -0.4, np.float32))
    logits = np.full((64, 64, 64), -8, np.float32)
    logits[:, :32] = 8
    logits[:missing] = -30
    solid = weigh_evidence([view], logits, np.full((128, 128, 128), 4, np.float32))
    assert (solid[32:-20, 14:54, 20:-20] > 0).all() and (solid[32:-20, 80:, 20:-20] < 0).all()
    uv, _ = project(compute_cell_centres(128)[solid.ravel() > 0], view.camera)
    filled = np.zeros((32, 32), bool)
    filled[tuple((np.clip(uv[:, ::-1] + 1, 0, 1.999) * 16).astype(int).T)] = True
    assert filled[:, 2:].all()


@pytest.mark.parametrize("thickness, cut", [(4, False), (64, True)])
def test_a_wrong_front_cuts_no_sheet(thickness, cut):
    """A photo from the front whose front is too far away in a stripe, which is not to be mended: where the hull is
    thick, it is believed; a sheet stays whole."""
    front = np.full((128, 128), -thickness / 128 / 2, np.float32)
    front[:, 92:104] += 16 / 128
    view = view_of(cameras.orbit(0, 0, 3, 18, 128, 128), front)
    hull = np.full((128, 128, 128), -4, np.float32)
    middle = slice(64 - thickness // 2, 64 + thickness // 2)
    hull[:, middle] = 4
    logits = np.where(hull > 0, 1, -4).reshape((64, 2) * 3).max((1, 3, 5)).astype(np.float32)
    solid = weigh_evidence([view], logits, hull, fusion=FusionConfig(fill_rounds=0))
    first = (solid[96, :, 64] > 0).argmax()
    assert (first > middle.start + 1) == cut and (solid[96] > 0).any()


@pytest.mark.parametrize("width, fades", [(4, False), (40, True)])
def test_a_bar_is_filled_no_wider_than_it_is_seen(width, fades):
    """A photo that shows a bar or a board, pixels wide, of which nothing seems likely: what is filled behind a board
    fades to both sides, behind a bar hardly. The board's corners are no bars."""
    view = view_of(cameras.orbit(0, 0, 3, 18, 128, 128), np.full((128, 128), -0.4, np.float32))
    view.mask[:, :64 - width // 2] = view.mask[:, 64 + width // 2:] = False
    solid = weigh_evidence([view], np.full((64, 64, 64), -2, np.float32), np.full((128, 128, 128), 4, np.float32))
    assert (solid[66 - width // 2:62 + width // 2, :, 40:88].max(1) > 0).all()
    nothing = solid[0, :, 64].max()
    wide = (solid.max(1)[:, 64] > nothing + 0.1).sum() - width
    assert wide >= 6 if fades else wide <= 4


def test_what_is_flat_is_cut_off_behind_the_photos_that_show_it_flat():
    """A solid cube by two photos: its front, and a narrow strip of its side, which does not count."""
    front = view_of(cameras.orbit(0, 0, 3, 18, 128, 128), np.full((128, 128), -0.4, np.float32))
    side = view_of(cameras.orbit(90, 0, 3, 18, 128, 128), np.full((128, 128), -0.4, np.float32))
    side.mask[:, :50] = side.mask[:, 78:] = False
    config = ReconstructionConfig(thin_share=0.2)
    flat = flatten_solid([front, side], np.full((128, 128, 128), 4, np.float32), config) > 0
    middle = flat[40:88, :, 40:88]
    assert middle[:, 14:24].all() and not middle[:, 50:].any(), "0.2 of a round body behind y = -0.4"
    assert not flat[:4, 40:].any() and flat[110, 20, 64], "edges are thinner; x is not cut"


def test_narrow_gaps_are_closed_and_wide_ones_are_not():
    """A board with a slit of 3 cells, a pit of 4 and an opening of 12, and a thread, which stays so thin."""
    solid = np.full((64, 64, 64), -4, np.float32)
    solid[10:54, 20:30, 10:54] = 4
    solid[20:23, :, 10:54] = solid[30:34, 20:26, 30:34] = solid[38:50, :, 20:32] = -4
    solid[20, 50, 10:54] = 1
    closed = close_gaps(solid, 2) > 0
    assert closed[20:23, 20:30, 10:54].all() and closed[30:34, 20:26, 30:34].all()
    assert not closed[38:50, :, 20:32].any() and closed[19:22, 49:52].sum() == 44
    np.testing.assert_array_equal(closed[:, :20], solid[:, :20] > 0)


def test_a_box_that_is_too_small_leaves_no_flat_sides():
    """A ball of 40 cells, and two cells of the box beyond which it is doubted."""
    away = np.linalg.norm(compute_cell_centres(128), axis=1).reshape(128, 128, 128) * 128
    side = np.full(3, 38 / 128)
    solid = doubt_beyond(np.clip(40 - away, -4, 4).astype(np.float32), -side, side, FusionConfig())
    reach = (solid[:, 63] > 0).sum(0)[24:104]
    assert 77 < reach.max() < 80  # of 80, and the box would leave 76
    assert (reach == reach.max()).sum() < 22  # of the box it would be 26


def test_a_ball_seen_from_near_is_bound_by_its_own_width():
    """Nearer to the cameras, narrower things would fill the same outlines: they do not count."""
    steps = (np.arange(128) + 0.5) / 64 - 1
    across = np.hypot(*np.meshgrid(steps, steps)) * np.tan(np.radians(30))  # tangent of the angle to the middle
    ball, views, hull = 0.3, [], np.full(128**3, 4, np.float32)
    for azimuth in (0, 90, 180, 270):
        view = view_of(cameras.orbit(azimuth, 0, 1.2, 60, 128, 128), np.full((128, 128), -ball, np.float32))
        view.mask = across < ball / np.sqrt(1.2**2 - ball**2)
        x, y = np.clip((project(compute_cell_centres(128), view.camera)[0].T + 1) * 64, 0, 127).astype(int)
        hull = np.where(view.mask[y, x], hull, -4)
        views.append(view)
    logits = ((ball - np.linalg.norm(compute_cell_centres(64), axis=1)) * 100).reshape((64,) * 3).astype(np.float32)
    low, high = bound_object(views, logits, hull.reshape((128,) * 3), FusionConfig())
    np.testing.assert_allclose([low[:2], high[:2]], [[-ball] * 2, [ball] * 2], atol=0.03)
