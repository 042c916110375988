"""Pictures with a published checkpoint: passes, light and assets in the product's conventions."""
import numpy as np
import pytest

torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")

from near_core.asset import NeuralAsset
from near_core.errors import NearError
from near_core.models.near import conditioning
from near_core.published.renderer import PublishedRenderer, match_light
from near_core.scene import (
    PASSES,
    Environment,
    Instance,
    Settings,
)
from near_core.scene.camera import orbit
from near_core.scene.environment import turn_z
from tests.models.near.test_pipeline import asset, folder  # noqa: F401  fixtures


@pytest.fixture(scope="module")
def published(folder):  # noqa: F811
    return PublishedRenderer(folder, "cpu")


@pytest.fixture(scope="module")
def ball(asset):  # noqa: F811
    coords, feats = asset
    material = np.zeros((len(coords), 8), np.float16)
    return NeuralAsset(coords, material, feats.astype(np.float16), name="Ball", model="near")


def sun(row, column):
    """A map with one bright patch."""
    radiance = np.full((64, 128, 3), 0.1, np.float32)
    radiance[row - 3:row + 3, column - 3:column + 3] = 50
    return radiance


def brightest(light_map):
    """Direction channels (asset frame when upright maps are only turned: the map's own) at the brightest pixels."""
    bright = light_map[3] > light_map[3].max() - 0.05
    return light_map[6:, bright].mean(1)


def test_a_picture_has_all_passes(published, ball):
    camera = orbit(20, 15, 2.2, 40, 40, 32)
    light = Environment(sun(20, 30), strength=2.0)
    picture = published.render([Instance(ball, np.eye(4))], camera, light)
    assert {name: image.shape for name, image in picture.items()} == {
        name: (32, 40, channels) for name, channels in PASSES.items()}
    alpha = picture["Combined"][..., 3]
    assert alpha.max() > 0.5 and alpha[0, 0] == 0 and all(np.isfinite(image).all() for image in picture.values())
    lengths = np.linalg.norm(picture["Normal"], axis=2)
    assert np.allclose(lengths[alpha > 0.5], 1, atol=1e-4)
    assert 1.5 < picture["Depth"][alpha > 0.9].mean() < 2.5
    half = published.render([Instance(ball, np.eye(4))], camera, Environment(light.map, strength=1.0))
    np.testing.assert_allclose(picture["Combined"][..., :3], 2 * half["Combined"][..., :3], atol=1e-6)
    behind = published.render([Instance(ball, np.eye(4))], camera, light, Settings(background=True))["Combined"]
    assert (behind[..., 3] == 1).all() and np.allclose(behind[0, 0, :3], light.look_up(camera.pixel_directions())[0, 0])


def test_turning_world_asset_and_camera_together_changes_nothing(published, ball):
    light, camera = sun(20, 30), orbit(20, 15, 2.2, 40, 24, 24)
    matrix = np.eye(4)
    matrix[:3, :3] = turn_z(50)
    still = published.render([Instance(ball, np.eye(4))], camera, Environment(light))["Combined"]
    turned = published.render([Instance(ball, matrix)], orbit(70, 15, 2.2, 40, 24, 24),
                              Environment(light, turn_z(-50)))["Combined"]
    assert np.quantile(np.abs(turned - still), 0.99) < 5e-3


def test_the_raster_shows_where_the_light_stands_for_the_asset():
    """The pixel that holds the sun lies at its azimuth in the asset's frame: the raster's centre is +Y, its quarter
    -X."""
    radiance = sun(32, 64)  # +X in the map
    for degrees, column in ((0, 384), (-90, 256), (180, 128), (45, 448)):  # the sun stands at azimuth -degrees
        _, rotation, _ = match_light(Environment(radiance), turn_z(degrees))
        light_map = conditioning.light_map(radiance, rotation).numpy()
        place = np.argwhere(light_map[3] > light_map[3].max() - 0.05).mean(0)
        assert place[1] == pytest.approx(column, abs=3), degrees
        np.testing.assert_allclose(brightest(light_map), [1, 0, 0], atol=0.05)


def test_a_tilted_asset_gets_the_map_in_its_own_frame():
    radiance = np.full((64, 128, 3), 0.1, np.float32)
    radiance[:6] = 50  # the zenith
    tilt = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0.0]])  # the asset's +Y stands up
    resampled, rotation, _ = match_light(Environment(radiance), tilt)
    light_map = conditioning.light_map(resampled(), rotation).numpy()
    assert brightest(light_map)[1] > 0.95


def test_tokens_are_kept_for_turns_that_round_to_the_same(published, ball):
    light = Environment(sun(20, 30))
    keys = {match_light(light, turn_z(angle))[2] for angle in (10.0, 10.01, 370.0)}
    assert len(keys) == 1 and match_light(light, turn_z(10.2))[2] not in keys


def test_an_asset_of_another_model_is_refused(published, ball):
    from dataclasses import replace
    with pytest.raises(NearError, match="no latent of the published model"):
        published.render([Instance(replace(ball, model="near-mini"), np.eye(4))], orbit(0, 0, 2, 40, 8, 8),
                         Environment(sun(20, 30)))


def test_nothing_to_draw_is_an_empty_picture(published, ball):
    flat = np.diag([1.0, 1.0, 0.0, 1.0])
    picture = published.render([Instance(ball, flat)], orbit(0, 0, 2, 40, 8, 6), Environment(sun(20, 30)))
    assert picture["Combined"].shape == (6, 8, 4) and not any(image.any() for image in picture.values())
