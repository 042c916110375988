"""Skins in a picture: edges, maps, what is transparent, and what the normals of a pixel do."""

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from near_core.asset import SkinMaterial
from near_core.light.points import MetPoints
from near_core.render import pieces, strips
from near_core.render import skin as skins
from near_core.render.config import SplattingConfig
from near_core.scene import camera as cameras
from tests.asset.test_skin import square

CAMERA = replace(cameras.orbit(0, 0, 2, 40, 64, 64), orthographic=True,
                 intrinsics=np.array([[64.0, 0, 32], [0, 64, 32], [0, 0, 1]]))  # the square covers 51.2 pixels


def encoded(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "WEBP", lossless=True)
    return out.getvalue()


def meet(seen, to_camera, known):
    """Points that are told nothing and mirror nothing of the asset."""
    count = len(seen.points)
    nothing, alike = np.empty((count, 0), np.float32), np.zeros(count, bool)
    met = MetPoints(points=seen.points, size=seen.size, find_feet=seen.find_feet, view=to_camera, told=nothing,
                    arrives=nothing, fewer=np.zeros(count, np.uint8), alike=alike, follows=alike)
    return met, np.zeros((count, 7), np.float32)


def place(skin, matrix=np.eye(4), meet=meet, between=None):
    """A skin that shows what it is made of. meet: what its points are told."""
    shade = lambda surfels, view, arrived, depth: np.column_stack(
        [np.ones(len(depth)), depth, surfels.base_color]).astype(np.float32)
    prepared = skin if isinstance(skin, skins.PreparedSkin) else skins.PreparedSkin(skin)
    return strips.PlacedSkin(prepared, matrix, lambda surfels: surfels, meet,
                             lambda met: lambda mirrored: mirrored[:, :1],
                             shade, between)


def drawn(*made, camera=CAMERA, **options):
    """Base colours over alpha and coverage of skins that show their base color. made: skins, or skins and matrices."""
    placed = [place(*each) if isinstance(each, tuple) else place(each) for each in made]
    return strips.draw(placed, camera, 5, **options)


def look(*made):
    """What draws skins, and the points that were met meanwhile."""
    seen = []

    def look_on(*arguments):
        seen.append(meet(*arguments)[0])
        return meet(*arguments)
    return [place(each, meet=look_on) for each in made], seen


def plain(*color: float, **changes):
    material = SkinMaterial(color, 0.5, 0.0, 1.0, ("repeat", "repeat"), (-1, -1, -1, -1))
    return square(color=None, materials=(material,), pictures=(), **changes)


@pytest.mark.parametrize("camera", [CAMERA, cameras.orbit(180, 0, 2, 40, 64, 64)])
def test_edges_lie_where_they_are_and_both_sides_are_seen(camera):
    image, alpha = drawn(plain(1, 0.5, 0.25, 1), camera=camera)
    size = 51.2 if camera.orthographic else 0.8 / (2 * np.tan(np.radians(20)) * 2) * 64
    assert np.isclose(alpha.sum(), size ** 2, rtol=0.01) and np.allclose(alpha, image[..., 0], atol=1e-5)
    assert np.allclose(image[alpha == 1][:, 2:], [1, 0.5, 0.25], atol=1e-4)


@pytest.mark.parametrize("angle", [30, 70, 85, 89, 91, 95, 180])
def test_a_sheet_covers_what_it_spans_at_every_angle(angle):
    camera = replace(cameras.orbit(angle, 0, 2, 40, 64, 64), orthographic=True, intrinsics=CAMERA.intrinsics)
    _, alpha = drawn(plain(1, 1, 1, 1), camera=camera)
    assert np.isclose(alpha.sum(), 51.2 ** 2 * abs(np.cos(np.radians(angle))), atol=51.2 / 8)  # a column of samples


def test_an_open_cup_has_no_gaps():
    turn = np.linspace(0, 2 * np.pi, 33)[:-1]
    ring = np.stack([0.4 * np.cos(turn), 0.4 * np.sin(turn), np.zeros(32)], 1)
    vertices = np.float32(np.concatenate([ring - [0, 0, 0.4], ring + [0, 0, 0.4], [[0, 0, -0.4]]]))
    a, b = np.arange(32), (np.arange(32) + 1) % 32
    faces = np.int32(np.concatenate([np.stack([a, b, b + 32], 1), np.stack([a, b + 32, a + 32], 1),
                                     np.stack([b, a, np.full(32, 64)], 1)]))
    cup = replace(plain(1, 1, 1, 1), vertices=vertices, faces=faces, material=np.zeros(96, np.int32), normal=None,
                  uv=np.zeros((65, 2), np.float32))
    for elevation in (-50, 0, 20, 50, 85):
        alpha = drawn(cup, camera=cameras.orbit(10, elevation, 3, 25, 48, 48))[1]
        rows, columns = np.nonzero(alpha > 0.5)  # what lies between two of them in a row is covered
        for row in np.unique(rows)[2:-2]:
            inside = columns[rows == row]
            assert alpha[row, inside.min() + 1:inside.max()].min(initial=1) > 0.6


def test_maps_show_where_they_lie():
    picture = np.full((64, 64, 3), 255, np.uint8)
    picture[:32] = 0, 0, 255
    skin = replace(square(color=None), pictures=(encoded(picture),))
    image, alpha = drawn(skin)
    assert (image[8:28, 32, 2:] == [0, 0, 1]).all() and np.allclose(image[36:56, 32, 2:], 1) and alpha[8:56, 32].all()


def test_feet_lie_on_the_skin():
    """Those of a tent's ridge, too, below which the mean of a pixel's samples lies."""
    vertices = np.float32([[-0.3, 0, 0], [0, 0, 0.06], [0.3, 0, 0], [-0.3, 0.5, 0], [0, 0.5, 0.06], [0.3, 0.5, 0]])
    faces = np.int32([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4]])
    tent = replace(plain(1, 1, 1, 1), vertices=vertices, faces=faces, material=np.zeros(4, np.int32), normal=None,
                   uv=np.zeros((6, 2), np.float32))
    placed, seen = look(tent)
    strips.draw(placed, cameras.orbit(20, 50, 2, 40, 64, 64), 5)
    leaves, _ = seen[0].feet.leave(np.array([0]), np.float32([[0, 0, 1]]), np.float32([1e-3]))
    assert leaves.dtype == np.float32, "as kernels take it"
    feet, points = seen[0].feet.position, seen[0].points.position
    assert np.allclose(feet[:, 2], 0.06 - 0.2 * np.abs(feet[:, 0]), atol=1e-5)
    assert np.abs(points[:, 2] - 0.06 + 0.2 * np.abs(points[:, 0])).max() > 3e-4 and np.abs(feet - points).max() < 0.03


def test_rays_along_a_smooth_drum_of_few_facets_begin_above_them():
    turn = np.linspace(0, 2 * np.pi, 25)[:-1]
    normal = np.stack([np.cos(turn), np.sin(turn), np.zeros(24)], 1)
    vertices = np.float32(np.concatenate([0.4 * normal - [0, 0, 0.4], 0.4 * normal + [0, 0, 0.4]]))
    a, b = np.arange(24), (np.arange(24) + 1) % 24
    drum = replace(plain(1, 1, 1, 1), vertices=vertices, material=np.zeros(48, np.int32),
                   uv=np.zeros((48, 2), np.float32),
                   faces=np.int32(np.concatenate([np.stack([a, b, b + 24], 1), np.stack([a, b + 24, a + 24], 1)])),
                   normal=np.float32(np.concatenate([normal, normal])))
    prepared = skins.PreparedSkin(drum)
    placed, seen = look(prepared)
    if not prepared.occluders.are_traced:
        pytest.skip("no Embree")
    strips.draw(placed, cameras.orbit(0, 0, 2, 40, 64, 64), 5)
    feet, row = seen[0].feet, np.arange(len(seen[0].points))
    sun = np.tile(np.float32([np.cos(0.2), np.sin(0.2), 0]), (len(row), 1))
    start, free = feet.leave(row, sun, np.full(len(row), 1e-4, np.float32))
    lit = free & ~prepared.occluders.block(start, sun, np.full(len(row), np.inf, np.float32))
    facets = ~prepared.occluders.block(feet.position + 1e-4 * feet.normal, sun, np.full(len(row), np.inf, np.float32))
    cosine = (feet.smooth * sun).sum(1)
    day, night = cosine > 0.02, cosine < -0.2  # between, a facet that is turned away rises
    assert feet.rounded.all() and lit[day].all() and not lit[night].any() and not facets[day].all()


def test_what_is_transparent_shows_what_is_behind():
    behind = np.eye(4)
    behind[1, 3] = 0.3
    image, alpha = drawn(plain(1, 0, 0, 0.25), (plain(0, 1, 0, 1), behind))
    assert np.allclose(image[32, 32, 2:], [0.25, 0.75, 0], atol=1e-4) and np.isclose(alpha[32, 32], 1)
    alone = drawn(plain(1, 0, 0, 0.25))[1]
    assert np.isclose(alone[32, 32], 0.25)


def test_normals_that_differ_in_a_pixel_roughen_it():
    bumps = np.zeros((64, 64, 3), np.uint8)
    bumps[..., 2], bumps[..., 1], bumps[..., 0] = 200, 127, np.where(np.arange(64) % 2, 220, 34)
    material = SkinMaterial((1, 1, 1, 1), 0.2, 0.0, 1.0, ("repeat", "repeat"), (-1, -1, -1, 0))
    skin = square(color=None, materials=(material,), pictures=(encoded(bumps),))
    placed, seen = look(skin)
    for config in (SplattingConfig(normal_spread=0), SplattingConfig()):
        strips.draw(placed, CAMERA.resize(16, 16), 5, config=config)
    plain_points, spread_points = (each.points for each in seen)
    assert np.allclose(plain_points.roughness, 0.2, atol=1e-3) and (spread_points.roughness > 0.3).all()
    assert np.allclose(spread_points.shading_normal, [0, -1, 0], atol=0.05)


def test_strips_make_the_same_picture():
    whole = drawn(plain(1, 0.5, 0.25, 0.5))
    parts = strips.draw([place(plain(1, 0.5, 0.25, 0.5))], CAMERA, 5, config=SplattingConfig(skin_pixels=64 * 7))
    window = drawn(plain(1, 0.5, 0.25, 0.5), camera=CAMERA.crop(3, 4, 20, 30))
    for one, other, cut in zip(whole, parts, window):
        assert np.allclose(one, other, atol=1e-5) and np.allclose(one[4:34, 3:23], cut, atol=1e-5)


def test_one_of_four_pixels_speaks_where_they_show_one_surface():
    down, across = (each.ravel() for each in np.mgrid[-2:2, -2:2])  # windows begin left of the frame, too
    at = np.stack([across, down, 0 * down], 1).astype(np.float32)
    at[5, 2] = 100  # another surface
    lead = pieces._find_leads(across, down, SimpleNamespace(position=at), np.full(16, 4, np.float32))
    assert lead[5] == 5
    rest = np.arange(16) != 5
    np.testing.assert_array_equal(at[lead][rest, :2], at[rest, :2] // 2 * 2)


def test_light_is_worked_out_between_few_points_but_where_something_jumps():
    """On a square that is lit on its left: points at corners of tiles, edges of the square, and those by the shadow."""
    met, told = [], []

    def light(seen, to_camera, known):
        made, mirrored = meet(seen, to_camera, known)
        position = seen.points.position
        met.append(position[:, 0])
        if known is not None:
            jumps, between = known
            assert jumps.all()
            np.testing.assert_allclose(between, position[:, :2], atol=5e-4)
            told.append(len(jumps))
        mirrored[:, 0] = position[:, 0] < 0.1
        return made, mirrored

    edges = lambda made: ((made.points.position[:, :1] < 0.1).astype(np.float32), made.points.position[:, :2])
    between = pieces.Between(lambda surfels, size, turned: np.ones(len(surfels), bool), edges, 0.5)
    placed = replace(place(plain(1, 1, 1, 1), meet=light), between=between, shade=lambda surfels, view, arrived, depth:
                     np.column_stack([np.ones(len(depth)), depth, arrived[:, [0, 0, 0]]]).astype(np.float32))
    camera = replace(CAMERA, width=256, height=256, intrinsics=np.array([[256.0, 0, 128], [0, 256, 128], [0, 0, 1]]))
    image, alpha = strips.draw([placed], camera, 5)
    worked_out, whole = (strips.draw([each], camera, 5, config=SplattingConfig(smooth_reach=0, corner_reach=0))
                         for each in (placed, replace(placed, between=None)))
    np.testing.assert_allclose(worked_out[0], whole[0], atol=1e-5)
    first, rest = met[0], met[1]
    assert len(first) < 0.4 * alpha.sum() and np.abs(rest - 0.1).max() < 5 / 256, "but by the shadow's edge few are met"
    assert told[0] == len(rest), "and these are told what is around"


def noisy():
    """A square that mirrors noise, between few points, and a camera near it."""
    def light(seen, *others):
        made, mirrored = meet(seen, *others)
        mirrored[:, 0] = np.sin(seen.points.position @ np.float32([9e3, 5e3, 7e3]))
        return made, mirrored

    between = pieces.Between(lambda surfels, size, turned: np.ones(len(surfels), bool),
                             lambda made: (np.zeros((len(made.size), 1), np.float32),) * 2, 0.5)
    placed = replace(place(plain(1, 1, 1, 1), meet=light), between=between, shade=lambda surfels, view, arrived, depth:
                     np.column_stack([np.ones(len(depth)), depth, arrived[:, [0, 0, 0]]]).astype(np.float32))
    return placed, replace(CAMERA, width=256, height=256, intrinsics=np.array([[256.0, 0, 128], [0, 256, 128],
                                                                                [0, 0, 1]]))


def test_noise_at_corners_is_averaged_over_those_around():
    placed, camera = noisy()
    configs = [SplattingConfig(corner_reach=reach) for reach in (0, 2)]
    noise = [strips.draw([placed], camera, 5, config=each)[0][64:192, 64:192, 2].std() for each in configs]
    assert noise[1] < 0.8 * noise[0]


def test_strips_show_what_lies_around_them_as_one_does():
    """Also where a pixel has one sample, as in moments of motion blur."""
    placed, camera = noisy()
    single = np.zeros((1, 2), np.float32), np.ones((1, 1, 1), np.float32)
    for draw in (strips.draw, lambda *made, **options: strips.draw_samples(*made, *single, **options)):
        whole, parts = (draw([placed], camera, 5, config=SplattingConfig(skin_pixels=most))[0]
                        for most in (1 << 19, 256 * 21))
        assert whole[64:192, 64:192, 2].std() > 0.002
        np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_a_wider_filter_softens_edges():
    _, thin = drawn(plain(1, 1, 1, 1), width=0.5)
    _, usual = drawn(plain(1, 1, 1, 1))
    _, wide = drawn(plain(1, 1, 1, 1), width=3)
    soft = [((each > 0.01) & (each < 0.99)).sum() for each in (thin, usual, wide)]
    assert soft[0] < soft[1] < soft[2] and np.allclose([thin.sum(), usual.sum(), wide.sum()], 51.2 ** 2, rtol=0.02)


def test_a_map_seen_obliquely_is_averaged_along_the_view():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[::2] = 255
    skin = replace(square(color=None), pictures=(encoded(stripes),))
    tilted = np.eye(4)
    tilted[1:3, 1:3] = [[np.cos(1.4), -np.sin(1.4)], [np.sin(1.4), np.cos(1.4)]]
    image, alpha = drawn((skin, tilted))
    assert np.ptp(image[alpha == 1][:, 2]) < 0.2 and np.isclose(image[alpha == 1][:, 2].mean(), 0.5, atol=0.05)
