"""near_core.image.color, against scikit-image's colour conversions and the numbers of the standard."""

import numpy as np
import pytest

from near_core import image

CODES = np.arange(256) / 255


def test_srgb_decode_is_the_standard():
    color = pytest.importorskip("skimage.color")
    luminance = color.rgb2xyz(np.repeat(CODES[:, None], 3, 1))[:, 1]  # of a grey it is the linear value
    assert np.abs(image.srgb_decode(CODES) - luminance).max() < 1e-7
    assert np.abs(image.srgb_decode(CODES.astype(np.float32)) - luminance).max() < 3e-7
    assert image.srgb_decode(0.5) == pytest.approx(0.2140411, abs=1e-7)
    assert image.srgb_decode(0.02) == pytest.approx(0.02 / 12.92, abs=1e-9)


def test_srgb_encode_is_its_inverse_and_clips():
    assert np.abs(image.srgb_encode(image.srgb_decode(CODES)) - CODES).max() < 3e-7
    assert image.srgb_encode(np.float32(0.18)) == pytest.approx(0.4613561, abs=1e-6)
    np.testing.assert_allclose(image.srgb_encode(np.float32([-1, 0, 1, 7])), [0, 0, 1, 1], rtol=0, atol=1e-7)


def test_both_give_float32():
    assert image.srgb_encode(CODES).dtype == image.srgb_decode(CODES).dtype == np.float32


def test_premultiplied():
    straight = np.float32([[[0.2, 0.4, 0.8, 0.5], [1, 1, 1, 0]]])
    np.testing.assert_allclose(image.premultiply(straight), [[[0.1, 0.2, 0.4, 0.5], [0, 0, 0, 0]]])
    np.testing.assert_array_equal(image.premultiply(straight[..., :3])[..., 3], [[1, 1]])


def test_luminance_is_the_standards_y():
    color = pytest.importorskip("skimage.color")
    linear = np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.2, 0.5, 0.1]])
    np.testing.assert_allclose(image.luminance(linear), color.rgb2xyz(image.srgb_encode(linear))[:, 1], atol=1e-4)
    assert image.luminance(np.ones((4, 5, 3), np.float32)).shape == (4, 5)
