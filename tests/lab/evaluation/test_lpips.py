"""LPIPS with made-up weights of the published shapes, against the same sums written out with scipy."""

import numpy as np
import pytest
from scipy.signal import correlate

torch = pytest.importorskip("torch")

from near_core.errors import NearError
from near_core.image import srgb_encode
from near_core.lab.evaluation.lpips import Lpips

SHAPES = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


def write(folder, layers):
    """Weights of which only the first `layers` of the five count."""
    draw = torch.Generator().manual_seed(0)
    backbone = {}
    for key, (out, into, side) in SHAPES.items():
        scale = (into * side**2) ** -0.5
        backbone[f"features.{key}.weight"] = scale * torch.randn(out, into, side, side, generator=draw)
        backbone[f"features.{key}.bias"] = 0.1 * torch.randn(out, generator=draw)
    head = {f"lin{number}.model.1.weight": torch.rand(1, SHAPES[key][0], 1, 1, generator=draw) * (number < layers)
            for number, key in enumerate(SHAPES)}
    torch.save(backbone, folder / "alexnet-owt.pth")
    torch.save(head, folder / "alex.pth")
    return backbone, head


def pictures():
    rng = np.random.default_rng(0)
    return rng.random((2, 67, 75, 4), np.float32)


def first_layer(picture, weight, bias):
    x = 2 * srgb_encode(picture[..., :3]).astype(float) - 1
    x = (x - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
    x = np.pad(x, ((2, 2), (2, 2), (0, 0)))
    out = np.stack([correlate(x, w.transpose(1, 2, 0), "valid")[::4, ::4, 0] for w in weight], -1) + bias
    out = np.maximum(out, 0)
    return out / np.linalg.norm(out, axis=-1, keepdims=True)


def test_the_first_layer_by_hand(tmp_path):
    backbone, head = write(tmp_path, layers=1)
    weight, bias = (backbone[f"features.0.{name}"].numpy() for name in ("weight", "bias"))
    a, b = (first_layer(p, weight, bias) for p in pictures())
    expected = ((a - b) ** 2 @ head["lin0.model.1.weight"].numpy().ravel()).mean()
    assert Lpips(tmp_path)(*pictures()) == pytest.approx(expected, rel=1e-4)


def test_all_layers_count_and_equal_pictures_are_at_no_distance(tmp_path):
    write(tmp_path, layers=1)
    one = Lpips(tmp_path)(*pictures())
    write(tmp_path, layers=5)
    five, (a, b) = Lpips(tmp_path), pictures()
    assert five(a, b) > one + 0.1
    assert five(a, a) == 0
    assert five(a, 0.9 * a + 0.1 * b) < five(a, 0.5 * a + 0.5 * b)


def test_missing_and_damaged_weights_are_told_in_words(tmp_path):
    with pytest.raises(NearError, match="no weights"):
        Lpips(tmp_path)
    write(tmp_path, layers=5)
    (tmp_path / "alex.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(NearError, match="could not be read"):
        Lpips(tmp_path)
