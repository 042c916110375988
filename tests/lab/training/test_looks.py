"""What `intrinsics` says of photos, kept for `structure`."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("manifold3d")

from safetensors.torch import save_file

from near_core.lab.training.data import looks
from near_core.lab.training.stages.intrinsics import IntrinsicsOnly
from near_core.models.mini.layout import LAYERS, PICTURE, TRUNK, SurfacePlane


def test_kept_looks_are_of_one_object_from_several_sides(made, tmp_path, monkeypatch):
    """In each of an object's photos its solid falls on what is opaque, and the maps hold the picture that was taken."""
    _, _, room, _ = made
    room.restart(5)
    torch.manual_seed(0)
    with torch.no_grad():
        shots = room.shoot_around(2, 3, 0.0)
        kept = looks.look_at(IntrinsicsOnly().eval(), shots)
    paths = [tmp_path / f"{number}.safetensors" for number in range(2)]
    for number, path in enumerate(paths):
        save_file({key: value[number].contiguous() for key, value in kept.items()}, path)
    monkeypatch.setattr(looks, "WORSENED", 0.0)
    batch = looks.read_looks(paths, 2, np.random.default_rng(0))
    assert batch["maps"].shape == (4, PICTURE + LAYERS + TRUNK, 64, 64) and batch["solid"].shape == (2, 64, 64, 64)
    for photo in range(4):
        inside = batch["solid"][photo // 2].flatten() > 0.99
        alpha = torch.nn.functional.grid_sample(batch["surface"][[photo]][:, [SurfacePlane.ALPHA]],
                                                batch["uv"][[photo], :1][:, :, inside], align_corners=False)
        assert alpha.mean() > 0.97
    pictures = torch.nn.functional.avg_pool2d(shots["image"].flatten(0, 1), 2)
    away = (batch["maps"][:, None, :PICTURE] - pictures[None]).abs().amax((2, 3, 4))
    assert sorted(away.argmin(1).div(3, rounding_mode="floor").tolist()) == [0, 0, 1, 1] and away.amin(1).max() < 1e-2


def test_depths_are_worse_in_some_photos():
    torch.manual_seed(1)
    depths, mask = torch.rand(40, 2, 16, 16), torch.ones(40, 16, 16)
    changed = (looks.worsen_depths(depths, mask) - depths).abs().amax((2, 3)) > 1e-6
    assert torch.equal(changed[:, 0], changed[:, 1]) and 8 <= changed[:, 0].sum() <= 32
