"""Metrics against values worked out by hand, scikit-image and numpy."""

import math

import numpy as np
import pytest

from near_core.image import srgb_decode
from near_core.lab.evaluation import metrics


def picture(value, alpha=1.0, size=16):
    return np.concatenate([np.full((size, size, 3), value), np.full((size, size, 1), alpha)], -1).astype(np.float32)


def test_psnr_of_a_constant_difference_in_srgb():
    low, high = srgb_decode(np.float32(0.4)), srgb_decode(np.float32(0.5))  # 0.1 apart after encoding: 20 dB
    assert metrics.psnr(picture(high), picture(low)) == pytest.approx(20, abs=1e-3)


def test_values_above_one_and_below_zero_are_clipped_before_comparing():
    assert metrics.psnr(picture(7.0), picture(1.0)) == metrics.psnr(picture(-3.0), picture(0.0)) == 100


def test_object_psnr_counts_only_truly_solid_pixels():
    truth, prediction = picture(0.0, alpha=0.0), picture(1.0)
    truth[4:8, 4:8] = (0.5, 0.5, 0.5, 1.0)
    truth[0, 0, 3] = 0.5  # half covered is not solid
    prediction[4:8, 4:8, :3] = 0.5
    assert metrics.object_psnr(prediction, truth) == 100
    assert metrics.psnr(prediction, truth) == pytest.approx(-10 * math.log10(240 / 256), abs=1e-6)


def test_object_psnr_of_an_empty_picture_does_not_count():
    assert math.isnan(metrics.object_psnr(picture(1.0), picture(0.0, alpha=0.0)))


def test_psnr_agrees_with_scikit_image():
    from skimage.metrics import peak_signal_noise_ratio
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 32, 32, 4)).astype(np.float32)
    assert metrics.psnr(a, b) == pytest.approx(
        peak_signal_noise_ratio(metrics.encode(b), metrics.encode(a), data_range=1), abs=1e-9)


def test_ssim_and_flip_know_a_perfect_picture_and_order_worse_ones():
    rng = np.random.default_rng(1)
    truth = rng.random((64, 64, 4)).astype(np.float32)
    slight, strong = (np.clip(truth + s * rng.standard_normal(truth.shape), 0, 1).astype(np.float32)
                      for s in (0.02, 0.3))
    assert metrics.ssim(truth, truth) == pytest.approx(1)
    assert metrics.ssim(slight, truth) > metrics.ssim(strong, truth) + 0.1
    if metrics.flip_evaluator is None:
        pytest.skip("flip-evaluator is not installed")
    assert metrics.flip(truth, truth) == pytest.approx(0, abs=1e-6)
    assert 0 < metrics.flip(slight, truth) < metrics.flip(strong, truth)


def test_alpha_iou():
    a, b = np.zeros((2, 10, 10))
    a[:, :5], b[:, 3:8] = 1, 1
    assert metrics.alpha_iou(a, b) == pytest.approx(2 / 8)
    assert metrics.alpha_iou(a * 0, b * 0) == 1


def test_pass_errors_where_both_are_solid():
    truth = {"Combined": picture(0.2), "Base Color": np.full((16, 16, 3), 0.2), "Roughness": np.full((16, 16, 1), 0.3),
             "Normal": np.broadcast_to([0.0, 0.0, 1.0], (16, 16, 3)), "Depth": np.full((16, 16, 1), 2.0)}
    prediction = dict(truth, Roughness=np.full((16, 16, 1), 0.5), Depth=np.full((16, 16, 1), 2.25),
                      Normal=np.broadcast_to([0.0, 0.5, math.sqrt(0.75)], (16, 16, 3)))
    prediction["Combined"] = picture(0.2)
    prediction["Combined"][:8, :, 3] = 0
    prediction["Roughness"] = prediction["Roughness"].copy()
    prediction["Roughness"][:8] = 99  # outside of the prediction: must not count
    errors = metrics.measure_passes(prediction, truth)
    assert errors["alpha_iou"] == pytest.approx(0.5)
    assert errors["base_color_psnr"] == 100
    assert errors["roughness_mae"] == pytest.approx(0.2)
    assert errors["normal_degrees"] == pytest.approx(30, abs=1e-3)
    assert errors["depth_mae"] == pytest.approx(0.25)
    assert "metallic_mae" not in errors


def test_summarize():
    assert metrics.summarize([30.0, 20.0, 10.0]) == {"mean": 20, "median": 20, "worst": 10}
    assert metrics.summarize([0.1, 0.3], worst=max)["worst"] == 0.3
    assert metrics.summarize([])["mean"] is None
