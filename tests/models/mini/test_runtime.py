"""near-mini draws the same pictures in torch and in onnxruntime, frame by frame of the dev set."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from near_core.create.create import create_from_mesh
from near_core.lab.datasets.dataset import Dataset
from near_core.lab.evaluation.metrics import encode
from near_core.lab.networks import graphs
from near_core.models.mini.runtime import NearMini
from near_core.render.parallel import parallel_map
from near_core.render.renderer import Renderer
from near_core.scene import Instance, Settings

LIMIT = 1 / 255
# share of pixels that may be off by more where the surfels themselves come out of a network: a surfel that moves by a
# rounding may fall into the next cell of the grid that rays are traced through
RARE = 1e-4


class TorchMini(NearMini):
    """The same networks in torch."""

    def run(self, graph, **inputs):
        if graph not in self._sessions:
            self._sessions[graph] = graphs.module(graph)
        tensors = {name: torch.from_numpy(np.ascontiguousarray(v, np.int64 if v.dtype.kind in "iu" else np.float32))
                   for name, v in inputs.items()}
        with torch.no_grad():
            made = self._sessions[graph](*(tensors[name] for name in graphs.ALL[graph].inputs()))
        return [t.numpy() for t in (made if isinstance(made, tuple) else (made,))]


@pytest.fixture(scope="module")
def dataset(shared):
    return Dataset(shared / "data/eval")


@pytest.fixture(scope="module")
def renderers():
    pair = [Renderer(NearMini()), Renderer(TorchMini())]
    if not {"iad", "tokenizer", "lad"} <= set(pair[0].model.graphs):
        pytest.skip("the graphs of near-mini are not exported: run build.py")
    return pair


def differences(asset, views, renderers):
    """(V, H, W): how far each pixel of each view is off after the sRGB encoding."""
    found = []
    for view in views:
        one, other = (renderer.render([Instance(asset, np.eye(4))], view.camera, view.environment(),
                                      Settings(passes=("Combined",)))["Combined"] for renderer in renderers)
        assert one[..., 3].max() > 0.9
        found.append(np.abs(encode(one) - encode(other)).max(-1))
    return np.stack(found)


def without_surfels(asset):
    """What the asset's latent alone decodes to."""
    return replace(asset, surfels=None, texels=None)


def test_a_frame_is_the_same_in_both_runtimes(dataset, renderers):
    asset = create_from_mesh(dataset.mesh("ch_soap"), name="ch_soap", model=renderers[0].model)
    view = [dataset.view("ch_soap", 1)]
    assert differences(asset, view, renderers).max() <= LIMIT
    assert (differences(without_surfels(asset), view, renderers) > LIMIT).mean() <= RARE


@pytest.mark.slow
@pytest.mark.parametrize("number", range(24))
def test_every_frame_is_the_same_in_both_runtimes(dataset, renderers, number):
    name = dataset.assets[number]
    asset = create_from_mesh(dataset.mesh(name), name=name, model=renderers[0].model)
    whole = differences(asset, dataset.views(name), renderers)
    decoded = differences(without_surfels(asset), dataset.views(name)[:1], renderers)
    print(f"{name}: {255 * whole.max():.4f} / 255 in {len(whole)} frames; decoded {255 * decoded.max():.2f} / 255, "
          f"{(decoded > LIMIT).sum()} pixels over 1", flush=True)
    assert whole.max() <= LIMIT
    assert (decoded > LIMIT).mean() <= RARE


def test_a_network_that_many_threads_ask_for_is_loaded_once():
    loaded = []

    class CountingMini(NearMini):
        def _load(self, graph):
            loaded.append(graph)
            return super()._load(graph)

    model, empty = CountingMini(), {"voxels": np.zeros((1, 104)), "neighbours": np.zeros((1, 27), np.int64)}
    parallel_map(lambda _: model.run("encoder", **empty), range(8), 8)
    assert loaded == ["encoder"]
