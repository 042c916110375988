"""A photo's colours, explained by a light and a material."""

import numpy as np
import pytest

from near_core.create import delighting
from near_core.image import srgb_decode, srgb_encode
from near_core.models.mini.layout import LAYERS, SIZE, Layer


def ball(color: np.ndarray, found: np.ndarray, metallic: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A ball of a linear colour (3, S, S) under a warm light from the left: its layers, in which the colour is `found`,
    and its picture."""
    steps = (np.arange(SIZE) + 0.5) / SIZE * 2.4 - 1.2
    x, y = np.meshgrid(steps, steps)
    mask = x**2 + y**2 < 1
    normal = np.stack([x, y, -np.sqrt(np.maximum(1 - x**2 - y**2, 0))]) * mask
    light = (0.5 - 0.3 * normal[0]) * np.float32([1.1, 1.0, 0.8])[:, None, None]
    layers = np.concatenate([np.zeros((2, SIZE, SIZE)), normal, srgb_encode(found), np.full((1, SIZE, SIZE), 0.8),
                             np.full((1, SIZE, SIZE), metallic)]).astype(np.float32)
    image = np.concatenate([(srgb_encode(np.clip(color * light, 0, 1)) * 2 - 1) * mask, mask[None]]).astype(np.float32)
    return layers, image


def stripes() -> np.ndarray:
    """(3, S, S) linear: a colour whose stripes have the mean of the logarithm 0."""
    wave = np.sin(np.arange(SIZE) * 0.7)[:, None] + np.zeros((SIZE, SIZE))
    return np.float32([0.4, 0.3, 0.2])[:, None, None] * np.exp(0.4 * wave)


def error_of(layers: np.ndarray, color: np.ndarray, image: np.ndarray) -> float:
    found, opaque = np.log(srgb_decode(layers[Layer.BASE_COLOR]) / color), image[3] > 0.9
    return float(np.abs(found[:, opaque]).mean())


def test_what_no_light_explains_belongs_to_the_surface():
    color = stripes()
    layers, image = ball(color, np.broadcast_to(color.mean((1, 2), keepdims=True), color.shape))
    made = delighting.refine_albedo(layers, image)
    assert error_of(made, color, image) < 0.6 * error_of(layers, color, image)
    for others in (Layer.GEOMETRY, Layer.ROUGHNESS_METALLIC):
        np.testing.assert_array_equal(made[others], layers[others])


def test_shading_stays_out_of_the_colour():
    color = np.full((3, SIZE, SIZE), 0.4)
    layers, image = ball(color, color)
    made, opaque = delighting.refine_albedo(layers, image), image[3] > 0.9
    assert np.abs(made[Layer.BASE_COLOR] - layers[Layer.BASE_COLOR])[:, opaque].max() < 0.04
    shading = (image[:3, opaque] + 1) / 2
    assert shading.std(1).min() > 0.05  # which it would otherwise have taken over


@pytest.mark.parametrize("metallic, moved", [(0.0, True), (1.0, False)])
def test_metals_keep_their_colour(metallic, moved):
    color = stripes()
    layers, image = ball(color, np.full_like(color, 0.3), metallic)
    made = delighting.refine_albedo(layers, image)
    assert (np.abs(made[Layer.BASE_COLOR] - layers[Layer.BASE_COLOR]).max() > 0.02) == moved


def test_the_mean_colour_stays():
    color = stripes()
    layers, image = ball(2 * color, color)
    made, opaque = delighting.refine_albedo(layers, image), image[3] > 0.9
    before, after = (found[Layer.BASE_COLOR][:, opaque].mean(1) for found in (layers, made))
    np.testing.assert_allclose(after, before, atol=0.02)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_black_or_white_photo_or_none_at_all_is_no_reason_to_fail(value):
    layers = np.full((LAYERS, SIZE, SIZE), value, np.float32)
    image = np.concatenate([np.full((3, SIZE, SIZE), value * 2 - 1), np.ones((1, SIZE, SIZE))]).astype(np.float32)
    made = delighting.refine_albedo(layers, image)
    assert np.isfinite(made).all() and (made[Layer.BASE_COLOR] >= 0).all() and (made[Layer.BASE_COLOR] <= 1).all()
    np.testing.assert_array_equal(delighting.refine_albedo(layers, image * 0), layers)


def test_what_is_dark_beside_what_is_pale_is_no_shadow_of_it():
    """A ball, black on the right, in even light, which a network takes for grey there, in a shadow."""
    true, found = (np.where(np.arange(SIZE) > SIZE // 2, dark, 0.8) * np.ones((3, SIZE, 1)) for dark in (0.1, 0.5))
    layers, image = ball(true, found)
    made = delighting.refine_albedo(layers, image)
    pale, black = (srgb_decode(made[Layer.BASE_COLOR][:, 64, at]) for at in (44, 84))
    assert (pale / black > 3).all() and (pale <= 0.92).all()
