"""near-mini draws the same pictures in torch and in onnxruntime, frame by frame of the dev set."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from near_core.create import create_from_mesh  # noqa: E402
from near_core.dataset import Dataset  # noqa: E402
from near_core.metrics import encode  # noqa: E402
from near_core.render import Renderer  # noqa: E402
from near_core.runtime import NearMini  # noqa: E402
from near_core.scene import Instance, Settings  # noqa: E402

LIMIT = 1 / 255


@pytest.fixture(scope="module")
def dataset(shared):
    return Dataset(shared / "data/eval")


@pytest.fixture(scope="module")
def renderers():
    pair = [Renderer(NearMini(backend=backend)) for backend in ("onnx", "torch")]
    if not {"iad", "tokenizer", "lad"} <= set(pair[0].model.graphs):
        pytest.skip("the graphs of near-mini are not exported: run build.py")
    return pair


def differences(dataset, renderers, name, views):
    """The largest difference of each frame's pixels after the sRGB encoding; of the first one also for what the asset's
    latent alone decodes to, without its surfels."""
    whole = create_from_mesh(dataset.mesh(name), name=name, model=renderers[0].model)
    for asset, seen in ((whole, views), (replace(whole, surfels=None), views[:1])):
        for view in seen:
            one, other = (renderer.render([Instance(asset, np.eye(4))], view.camera, view.environment(),
                                          Settings(passes=("Combined",)))["Combined"] for renderer in renderers)
            yield view.n, float(np.abs(encode(one) - encode(other)).max()), float(one[..., 3].max())


def test_a_frame_is_the_same_in_both_runtimes(dataset, renderers):
    for n, difference, alpha in differences(dataset, renderers, "ch_soap", [dataset.view("ch_soap", 1)]):
        assert difference <= LIMIT and alpha > 0.9, n


@pytest.mark.slow
def test_every_frame_is_the_same_in_both_runtimes(dataset, renderers):
    found = {}
    for name in dataset.assets:
        found[name] = [difference for _, difference, _ in differences(dataset, renderers, name, dataset.views(name))]
        print(f"{name}: {255 * max(found[name]):.4f} / 255 in {len(found[name])} frames", flush=True)
    worst = max(map(max, found.values()))
    print(f"{sum(map(len, found.values()))} frames, worst {255 * worst:.4f} / 255")
    assert worst <= LIMIT
