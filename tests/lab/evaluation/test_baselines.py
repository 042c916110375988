"""What near-mini is compared with: photos as cameras save them, colours that are the best of their kind."""

import numpy as np

from near_core.lab.evaluation import metrics
from near_core.lab.evaluation.baselines import average_color, fill_silhouette, take_photo


def test_the_photo_is_what_a_camera_would_save():
    picture = np.zeros((1, 3, 4), np.float32)
    picture[0, 0] = (0.1, 0.1, 0.1, 0.5)  # half covered: 0.2 linear
    picture[0, 1] = (4, 4, 4, 1)
    photo = take_photo(picture)
    assert photo.dtype == np.uint8 and photo.tolist()[0] == [[124, 124, 124, 128], [255, 255, 255, 255], [0, 0, 0, 0]]


def test_average_color_is_the_best_single_colour():
    rng = np.random.default_rng(0)
    picture = np.concatenate([rng.random((16, 16, 3)), np.ones((16, 16, 1))], -1).astype(np.float32)
    best = metrics.object_psnr(fill_silhouette(picture[..., 3:], average_color(picture)), picture)
    for shift in (-0.03, 0.03):
        other = average_color(picture) + shift
        assert metrics.object_psnr(fill_silhouette(picture[..., 3:], other), picture) < best
