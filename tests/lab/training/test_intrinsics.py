"""The stage `intrinsics`."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from near_core import image
from near_core.lab.training.data import relight
from near_core.lab.training.stages import intrinsics


def test_a_material_that_nobody_knows_teaches_nothing(tmp_path):
    """Of an unfinished object, roughness and metallic leave no gradient; colour and shape do as ever."""
    torch.manual_seed(0)
    image.write_exr(tmp_path / "sky.hdr.exr", {"Combined": np.ones((8, 16, 4), np.float32)})
    lights = relight.Lights.of(relight.read_maps(tmp_path, set()))
    network = intrinsics.IntrinsicsOnly().eval()
    batch = {"image": torch.rand(2, 4, 128, 128), "pose": torch.rand(2, 6), "layers": torch.rand(2, 10, 128, 128),
             "mask": torch.ones(2, 128, 128), "elevation": torch.zeros(2)}
    last = network.intrinsics.out[-1]
    steps = []
    for unfinished in (False, True):
        network.zero_grad()
        batch["unfinished"] = torch.tensor([unfinished] * 2)
        intrinsics.judge(intrinsics.predict(network, batch), batch, lights, seed=0)[0].backward()
        steps.append(last.weight.grad.abs().sum((1, 2, 3)))
    assert (steps[0] > 1e-4).all()
    assert (steps[1][:8] > 1e-4).all() and (steps[1][8:] < 1e-3 * steps[0][8:]).all()
