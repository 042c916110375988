"""How far around an asset can be trusted."""

from dataclasses import replace

import numpy as np

from near_core.asset import NeuralAsset, Surfels
from near_core.render.trust import measure_trust
from near_core.scene import camera as cameras


def ball(shown: np.ndarray | None = None, camera: dict | None = None) -> NeuralAsset:
    """A ball of 20,000 surfels; shown: a direction whose half a photo has shown."""
    z = 1 - 2 * (np.arange(20_000) + 0.5) / 20_000
    turn = np.pi * (3 - 5 ** 0.5) * np.arange(len(z))
    normal = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], 1).astype(np.float32)
    one = np.ones(len(z), np.float32)
    sure = one if shown is None else (normal @ np.float32(shown) > 0).astype(np.float32)
    surfels = Surfels(0.49 * normal, normal, normal, np.ones((len(z), 3), np.float32), one, one, one, sure, one)
    surfels = replace(surfels, confidence=sure, opacity=one)
    return NeuralAsset(np.zeros((1, 3), np.uint8), np.zeros((1, 8), np.float16), np.zeros((1, 0), np.float16), surfels,
                       camera=camera)


def test_a_ball_seen_from_one_side_is_trusted_about_as_far_as_half_of_it_is_in_sight():
    front = measure_trust(ball((0, -1, 0)))
    assert abs(front.share - 0.5) < 0.01 and 60 <= front.degrees <= 90
    assert measure_trust(ball()).degrees == 180 and measure_trust(ball()).share == 1
    # the photo says where its side is
    right = ball((1, 0, 0), cameras.to_json(cameras.orbit(90, 10, 3, 40, 64, 48)))
    assert abs(measure_trust(right).degrees - front.degrees) <= 10
    assert measure_trust(replace(right, camera=None)).degrees == 0
