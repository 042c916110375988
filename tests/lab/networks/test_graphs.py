"""near-mini: its own convolution, and the same numbers from torch and from the exported graphs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from near_core.lab.networks import asset_networks, graphs
from near_core.models.mini import runtime


def neighbours(count: int = 300, seed: int = 0) -> torch.Tensor:
    from near_core.asset import octants
    cells = np.random.default_rng(seed).integers(20, 28, (count, 3))
    return torch.from_numpy(octants.find_neighbours(np.unique(cells, axis=0).astype(np.uint8)))


def test_the_convolutions_own_gradients_are_autograds():
    around = neighbours()
    layer = asset_networks.SparseConv(5, 4).double()
    x = torch.randn(len(around), 5, dtype=torch.double, requires_grad=True)
    weight = torch.randn(len(around), 4, dtype=torch.double)
    found = []
    for training in (True, False):
        layer.train(training)
        layer.zero_grad()
        x.grad = None
        (layer(x, around) * weight).sum().backward()
        found.append([x.grad.clone(), layer.linear.weight.grad.clone(), layer.linear.bias.grad.clone()])
    for a, b in zip(*found):
        torch.testing.assert_close(a, b)


def test_a_convolution_sees_only_its_neighbours():
    around = neighbours()
    layer = asset_networks.SparseConv(3, 3).eval()
    x = torch.randn(len(around), 3)
    before = layer(x, around)
    x[0] += 1
    changed = (layer(x, around) != before).any(1)
    assert set(torch.nonzero(changed)[:, 0].tolist()) <= set(torch.nonzero((around == 0).any(1))[:, 0].tolist())


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Small graphs with random weights, stored and exported as the trained ones are."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    for stage in ("latent", "renderer"):
        state = {}
        for name, graph in graphs.ALL.items():
            if graph.stage == stage:
                state |= {f"{name}.{k}": v for k, v in graph.make().state_dict().items()}
        graphs.store(stage, state, folder)
    graphs.export(folder / "onnx", folder)
    return folder


@pytest.mark.parametrize("name", ["encoder", "iad", "tokenizer", "lad"])
def test_both_runtimes_give_the_same_numbers(exported, name):
    model = runtime.NearMini(exported / "onnx", threads=1)
    graph, count = graphs.ALL[name], 333
    inputs = {key: torch.randint(0, count + 1, (count, 27)) if key == "neighbours"
              else torch.rand(count, *value.shape[1:]) if key in graph.dynamic else value
              for key, value in graph.inputs().items()}
    made = model.run(name, **{k: v.numpy() for k, v in inputs.items()})
    with torch.no_grad():
        truth = graphs.module(name, exported)(*inputs.values())
    for a, b in zip(made, truth if isinstance(truth, tuple) else (truth,)):
        np.testing.assert_allclose(a, b.numpy(), atol=1e-4, rtol=1e-4)


def test_export_is_skipped_where_it_is_done_and_renewed_with_the_weights(exported):
    before = (exported / "onnx/iad.onnx").stat().st_mtime_ns
    graphs.export(exported / "onnx", exported)
    assert (exported / "onnx/iad.onnx").stat().st_mtime_ns == before
    assert runtime.NearMini(exported / "onnx").digest == graphs.digest(exported)


def test_graphs_tell_nothing_of_the_machine_that_exported_them(exported):
    """Neither its folders nor its code's lines: the same weights give the same bytes everywhere."""
    for path in (exported / "onnx").glob("*.onnx"):
        data = path.read_bytes()
        assert b".py" not in data and str(Path.cwd()).encode() not in data, path.name


def test_the_trained_model_is_whole():
    for stage in graphs.stages():
        for name, graph in graphs.ALL.items():
            if graph.stage == stage:
                assert graphs.module(name) is not None
