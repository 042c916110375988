"""What is off screen is left out and nothing else; levels follow the size on screen without a jump."""

import numpy as np
import pytest

from near_core.asset import NeuralAsset
from near_core.render import sight
from near_core.render.config import SplattingConfig
from near_core.scene import Instance, Lamp
from near_core.scene import camera as cameras

CONFIG = SplattingConfig()


@pytest.mark.parametrize("orthographic", [False, True])
def test_only_spheres_that_touch_the_picture_are_seen(orthographic):
    view = {"matrix_world": cameras_matrix(), "fov_x_deg": 40, "ortho_scale": 4, "resolution": [160, 90],
            "type": "ORTHO" if orthographic else "PERSP", "shift_x": 0.1, "clip": [0.5, 9]}
    camera, rng = cameras.from_json(view), np.random.default_rng(1)
    center, radius = rng.uniform(-6, 6, (400, 3)), rng.uniform(0.05, 0.5, 400)
    ball = rng.normal(size=(3000, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    touches = np.array([inside(camera, c + r * ball).any() for c, r in zip(center, radius)])
    seen = sight.may_see(camera, center, radius)
    assert not (touches & ~seen).any()
    assert (seen & ~touches).mean() < 0.05 and 20 < touches.sum() < 380  # at corners some are kept


def fill(low: int, high: int) -> NeuralAsset:
    """An asset whose voxels fill a cube."""
    coords = np.stack(np.meshgrid(*[np.arange(low, high, dtype=np.uint8)] * 3), -1).reshape(-1, 3)
    return NeuralAsset(coords, *np.zeros((2, len(coords), 8), np.float16))


def cameras_matrix() -> np.ndarray:
    return np.linalg.inv(cameras.orbit(30, 20, 4, 40, 8, 8).world_to_camera) @ np.diag([1, -1, -1, 1.0])


def inside(camera: cameras.Camera, points: np.ndarray) -> np.ndarray:
    x, y, z = (points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]).T
    depth = np.ones_like(z) if camera.orthographic else z
    u, v, _ = camera.intrinsics @ np.stack([x / depth, y / depth, np.ones_like(z)])
    return (z >= camera.near) & (z <= camera.far) & (u >= 0) & (u <= 160) & (v >= 0) & (v <= 90)


def test_levels_fade_into_each_other():
    sizes = np.geomspace(20, 0.0005, 6000)
    shares = np.zeros((len(sizes), sight.LEVELS))
    for row, size in zip(shares, sizes):
        for level, share in sight.choose_levels(size, CONFIG.final_cell, CONFIG):
            row[level] = share
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)
    # what each shows where it lies before the other and where it lies behind, in the mean
    alone, both = (1 - CONFIG.opacity) ** shares, 1 - CONFIG.opacity
    shown = ((1 - alone) + (1 - alone) * both / alone) / 2
    assert np.abs(np.diff(shown, axis=0)).max() < 0.02
    assert shares[0, 0] == 1 and shares[-1, -1] == 1 and (shares.max(0) == 1).all()


def test_of_many_instances_all_get_coarser_together():
    pixels, voxels = np.full(1000, 1.0), np.full(1000, 10_000)
    widest = sight.limit_surfels(pixels, voxels, 1.25, 1e6)
    assert (sight.SURFELS * voxels * (1 / widest) ** 2).sum() == pytest.approx(1e6, rel=0.01)
    assert sight.limit_surfels(pixels[:10], voxels[:10], 1.25, 1e6) == 1.25


def test_coarse_drafts_leave_assets_their_shape():
    """Of a wide one and of one that fills half its cube, as when it is bent; what is small anyway has no more cells."""
    whole, half = fill(0, 64), fill(0, 32)
    near, far = cameras.orbit(0, 0, 3, 40, 256, 256), cameras.orbit(0, 0, 300, 40, 256, 256)

    def list_levels(asset, camera, coarseness, count=1) -> set[int]:
        return {each.level for each in sight.find_seen([Instance(asset, np.eye(4))] * count, camera, "draft",
                                                       coarseness=coarseness)}
    config = SplattingConfig(few_surfels=1e6)
    for asset, level in ((whole, 2), (half, 1)):
        seen = sight.find_seen([Instance(asset, np.eye(4))], near, "draft", config, 16.0)
        assert [each.level for each in seen] == [level]
        assert list_levels(asset, far, 16.0) == list_levels(asset, far, 1.0)
    assert max(list_levels(half, near, 16.0, count=30)) > 1, "many assets have fewer each"


def test_what_cannot_be_placed_is_left_out():
    asset = fill(20, 44)
    flat, lost, behind = np.diag([1.0, 1, 0, 1]), np.full((4, 4), np.nan), np.eye(4)
    behind[:3, 3] = 0, -40, 0
    placed = [Instance(asset, each) for each in (flat, np.eye(4), lost, behind)]
    seen = sight.find_seen(placed, cameras.orbit(0, 0, 3, 40, 512, 512), "final")
    assert [(each.number, each.level, each.share) for each in seen] == [(1, 0, 1.0)]
    assert not sight.find_seen([], cameras.orbit(0, 0, 3, 40, 512, 512), "final")


def test_only_what_may_stand_between_casts_shadows():
    rng = np.random.default_rng(2)
    asset = fill(30, 34)
    matrices = np.tile(np.eye(4), (200, 1, 1))
    matrices[:, :3, 3] = rng.uniform(-1, 1, (200, 3))
    standing = sight.find_standing([Instance(asset, each, shadow=number != 3) for number, each in enumerate(matrices)])
    turn = np.eye(4)
    turn[:3, 3] = 1, 2, 6
    point, sun = Lamp("point", turn, np.ones(3), radius=0.2), Lamp("sun", turn, np.ones(3), angle=0.1)
    for lamp in (point, sun):
        casters = {id(standing.instances[standing.rows[row]]) for row in standing.find_casters(7, lamp)}
        met = set()
        for _ in range(300):  # rays from the instance to the lamp
            start = standing.center[7] + ball(rng) * standing.radius[7]
            end = turn[:3, 3] + ball(rng) * 0.2 if lamp is point else start + 50 * (np.float64([0, 0, 1])
                                                                                   + 0.03 * ball(rng))
            along = (end - start) / np.linalg.norm(end - start)
            at = np.clip((standing.center - start) @ along, 0, np.linalg.norm(end - start))
            apart = np.linalg.norm(standing.center - start - at[:, None] * along, axis=1)
            met |= {id(standing.instances[row]) for row in np.flatnonzero(apart < standing.radius)}
        none = {id(standing.instances[number]) for number in (3, 7)}
        assert met - none <= casters and not casters & none and 0 < len(casters) < 60


def ball(rng) -> np.ndarray:
    """A point in the unit ball."""
    point = rng.normal(size=3)
    return point / np.linalg.norm(point) * rng.uniform() ** (1 / 3)
