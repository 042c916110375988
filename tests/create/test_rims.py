"""Outlines: the sides behind them, and their rims."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create import shape
from near_core.create.config import ReconstructionConfig
from near_core.create.photo import Photo
from near_core.create.rims import close_sides, measure_rounding, narrow_sides, near_rim
from near_core.create.thickness import measure_angularity
from near_core.create.view import compute_cell_centres, look_up, project, reach
from near_core.models.mini.layout import Picture
from near_core.scene import camera as cameras
from tests.create.pictures import view_of

CAMERA = cameras.orbit(0, 0, 2, 40, 128, 128)


def square_view(config: ReconstructionConfig = ReconstructionConfig()):
    """A square 64 pixels wide before a camera near by, 0.2 before the middle of the cube."""
    view = view_of(CAMERA, np.full((128, 128), -0.2, np.float32))
    alpha = np.zeros((256, 256), np.float32)
    alpha[64:192, 64:192] = 1
    view.mask = alpha[::2, ::2] > 0.5
    view.image[Picture.ALPHA], view.config = view.mask, config
    view.front = np.where(view.mask, view.front, 0).astype(np.float32)
    view.photo = Photo(np.zeros((256, 256, 3)), alpha, (0, 0, 256), (256, 256), (64, 64, 192, 192))
    return view


def test_sides_do_not_part_as_rays_do_where_the_camera_is_a_guess(model, monkeypatch):
    """A solid that would fill the cube behind a square."""
    monkeypatch.setattr(shape, "predict_solid", lambda model, views: np.full((64, 64, 64), 5, np.float32))
    monkeypatch.setattr(shape, "align_front", lambda view, *_: view.front)
    told = ReconstructionConfig(thickness="full", symmetry="off")
    width = []
    for begin in (told.side_start, 0.0, told.guess.side_start):
        config = replace(told, side_start=begin)
        inside = shape.carve_solid(model, square_view(config), config=config) > 0
        width.append([inside[:, y, 64].sum() for y in (45, 110)])
    assert width[0][1] > 1.2 * width[0][0], "a cone, where it is told"
    assert width[1][1] == pytest.approx(width[1][0], abs=2)
    assert width[1][1] < width[2][1] < width[0][1], "a cone at first, then a prism"
    assert width[1][0] == pytest.approx(width[0][0], abs=3), "nothing changes where it is seen"


def test_what_is_seen_keeps_its_outline():
    """A square whose right half lies 0.3 farther away: sides begin behind what is seen there."""
    config = ReconstructionConfig(side_start=0.0)
    view = square_view(config)
    view.front[:, 64:] += np.where(view.mask[:, 64:], np.float32(0.3), 0)
    points = compute_cell_centres(64)
    moved = narrow_sides(points, view, config)
    uv, depth = project(points, CAMERA)
    seen = (depth <= view.inside(view.front[None], np.clip(uv, -1, 1))[:, 0])
    np.testing.assert_allclose(moved[seen], points[seen], atol=1e-6)
    assert (project(moved, CAMERA)[1] < depth - 0.01)[depth > 0.3].all()
    np.testing.assert_array_equal(narrow_sides(points, view, ReconstructionConfig()), points)


def test_a_lip_along_the_outline_is_smoothed():
    """A block, seen from the front, with a lip 0.7 cells high along its outline and a bump in its middle."""
    x, y, z = compute_cell_centres(128).reshape(128, 128, 128, 3).transpose(3, 0, 1, 2) * 128
    aside = np.maximum(np.abs(x), np.abs(z))
    half = 0.5 * np.tan(np.radians(20)) * 1.8 * 128
    front = np.where((aside > half - 1.5) | (np.hypot(x, z) < 2), y + 26.3, y + 25.6)
    deep = np.minimum(np.minimum(half - aside, 40 - y), front).clip(-4, 4).astype(np.float32)
    steep = []
    for share in (0, 1):
        config = ReconstructionConfig(rim_smoothing=share)
        mesh = shape.extract_surface(deep, square_view(config), config)
        points, normal = mesh.vertices[mesh.faces[:, 0]] * 128, mesh.corner_normal[:, 0]
        off = np.maximum(np.abs(points[:, 0]), np.abs(points[:, 2]))
        inward = np.where((np.abs(points[:, 2]) < 10) & (points[:, 1] < 0), -np.sign(points[:, 0]) * normal[:, 0], 0)
        steep.append((inward[off > half - 5].max(), np.abs(inward[off < 5]).max()))
    assert steep[0][0] > 0.2 and steep[1][0] < 0.8 * steep[0][0]
    assert steep[1][1] == steep[0][1] > 0.2, "what is inside stays"


def test_what_is_thin_has_no_rim():
    view = square_view()
    uv = np.float32([[-0.5, 0], [0, 0]])  # at the outline, inside
    assert (near_rim(view, uv) > 0.5).tolist() == [True, False]
    view.mask[:, :60] = view.mask[:, 68:] = False
    assert not near_rim(view, np.float32([[-0.06, 0], [0, 0]])).any()


def disc_view(radius: float):
    """A flat disc, its radius in pixels, 0.2 before the middle of the cube."""
    view = square_view()
    y, x = np.mgrid[:128, :128] - 63.5
    view.mask = np.hypot(x, y) < radius
    view.front = np.where(view.mask, np.float32(-0.2), np.float32(0))
    return view


def widths_behind(view, share: float, levels: tuple[float, ...], relief: float = 1.0,
                  config: ReconstructionConfig = ReconstructionConfig()) -> list[float]:
    """How wide a rod as long as 0.4 behind a view's outline is so far behind that, over its width at the outline."""
    points = compute_cell_centres(128)
    uv, depth = project(points, CAMERA)
    inside = (look_up(view.mask[None].astype(np.float32), uv)[:, 0] > 0.5) & (depth > -0.2) & (depth < 0.2)
    closed = close_sides(np.where(inside, 4, -1).astype(np.float32), view, uv, depth,
                         np.full(len(points), share, np.float32), relief, config).reshape(128, 128, 128) > 0
    width = [closed[:, round((level + 0.5) * 128), 63:65].sum() / 2 for level in (-0.2, *levels)]
    return [value / width[0] for value in width[1:]]


def test_sides_close_as_those_of_an_ellipsoid():
    middle, near_end = widths_behind(disc_view(40), 1, (0.0, 0.16))
    assert middle == pytest.approx(0.87, abs=0.08) and near_end < 0.65
    assert widths_behind(disc_view(40), 0, (0.0, 0.16)) == pytest.approx([1.1, 1.19], abs=0.06), "a cone where not"


def test_what_is_narrow_is_no_deeper_than_that():
    """A neck 12 pixels wide, which networks think as deep as the body."""
    config, pixel = ReconstructionConfig(), 2 * 2 * np.tan(np.radians(20)) / 128
    end = -0.2 + config.side_length * 6 * pixel
    assert widths_behind(disc_view(6), 1, (end / 2 - 0.1, end + 0.03))[0] > 0.5
    assert widths_behind(disc_view(6), 1, (end + 0.03, 0.15)) == [0, 0]
    assert widths_behind(disc_view(6), 1, (end / 2 - 0.07,), relief=0.5) == [0], "half of that"


@pytest.mark.parametrize(("thickness", "share"), [("auto", 1.0), ("thin", 0.4)])
def test_what_is_thin_by_a_hint_has_no_round_body(model, monkeypatch, thickness, share):
    """A disc, behind which nothing seems likely."""
    monkeypatch.setattr(shape, "predict_solid", lambda model, views: np.full((64, 64, 64), -5, np.float32))
    monkeypatch.setattr(shape, "align_front", lambda view, *_: view.front)
    view = disc_view(32)
    view.image[Picture.ALPHA], view.back = view.mask, view.front + 9
    inside = shape.carve_solid(model, view, config=ReconstructionConfig(thickness=thickness, symmetry="off")) > 0
    round_depth = 64 * reach(CAMERA) / 128 * 128
    assert inside[64, :, 64].sum() == pytest.approx(min(share * round_depth, 128 * 0.7), rel=0.15)


def test_frays_of_an_outline_are_no_ridges_behind_it():
    """A disc, of whose rows every other three reach three pixels farther to both sides."""
    view = disc_view(40)
    rows = (np.arange(128) // 3 % 2 == 0)[:, None]
    view.mask |= rows & (np.roll(view.mask, 3, 1) | np.roll(view.mask, -3, 1))
    view.front = np.where(view.mask, np.float32(-0.2), np.float32(0))
    points = compute_cell_centres(128)
    uv, depth = project(points, CAMERA)
    inside = (look_up(view.mask[None].astype(np.float32), uv)[:, 0] > 0.5) & (np.abs(depth) < 0.2)
    deep = np.where(inside, 4, -1).astype(np.float32)
    rough = []
    for closed in (deep, close_sides(deep, view, uv, depth, np.ones(len(points), np.float32))):
        width = (closed.reshape(128, 128, 128) > 0)[:, 70].sum(0).astype(float)[44:84]
        rough.append(np.abs(np.diff(width, 2)).mean())
    assert rough[0] > 2 and rough[1] < 0.3 * rough[0]


def test_a_face_that_is_flat_up_to_its_edge_tells_a_box():
    flat, ball = disc_view(40), disc_view(40)
    y, x = (np.mgrid[:128, :128] - 63.5) / 40
    toward = -np.sqrt(np.clip(1 - x * x - y * y, 0.01, None))
    flat.normal, ball.normal = np.stack([0 * x, 0 * x, toward]), np.stack([x, y, toward])
    low, high = ReconstructionConfig.closing_sines
    assert measure_rounding(flat) < low < high < measure_rounding(ball)
    flat.mask[:] = False
    assert measure_rounding(flat) == 0


def test_what_is_a_box_from_its_front_is_one_behind_it():
    """A square, with what stands off one of its sides, as mirrors do."""
    view = square_view(ReconstructionConfig().doubt_camera())
    assert measure_angularity(view) == 1
    levels = (-0.1, 0.0, 0.16)
    assert widths_behind(view, 1, levels, config=view.config)[1:] == pytest.approx([1.1, 1.14], abs=0.05)
    view.mask[62:66, 96:110], view.front[62:66, 96:110] = True, -0.2
    beside = widths_behind(view, 1, levels, config=view.config)
    assert max(beside[1:]) < 1.02, "and not 1.1 to 1.2, as all of the outline along the rays"
    assert widths_behind(view, 0, levels, config=view.config) == pytest.approx(beside, abs=0.01), "sure or not"
    view.mask[61:67, 96:110], view.front[61:67, 96:110] = True, -0.1
    mirror, behind = widths_behind(view, 1, (-0.05, 0.1), config=view.config)
    assert mirror > 1.05 and behind < 1.05, "what stands off farther back is there, as deep as it is wide"


def test_what_is_round_from_its_front_is_no_box():
    view = disc_view(40)
    view.config = ReconstructionConfig().doubt_camera()
    assert measure_angularity(view) == 0
    assert widths_behind(view, 1, (0.0,), config=view.config) == widths_behind(view, 1, (0.0,))
    view.mask[:] = False
    assert measure_angularity(view) == 0
