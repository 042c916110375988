"""Several processes learn as one; batches that are drawn in the background; bfloat16 where the processor has it."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from near_core.lab.training import loop

REPOSITORY = Path(__file__).parents[3]
TOGETHER = """
import os
import sys
from pathlib import Path
import torch
from near_core.lab.training.loop import Run, RunConfig
torch.manual_seed(int(sys.argv[2]))
network = torch.nn.Linear(3, 2)
run = Run(RunConfig(out=Path(sys.argv[1]), minutes=60.0, rate=0.1, warm_up=1), network)
data = torch.arange(12.0).reshape(2, 2, 3)[run.rank:: run.world]
for _ in range(3):
    run.minutes += run.rank
    run.update(network(data).square().mean())
torch.save((network.state_dict(), run.minutes), f"{sys.argv[1]}/{run.rank}.pt")
if run.world > 1:
    torch.distributed.barrier()  # nobody leaves while the other still listens
    torch.distributed.destroy_process_group()
    os._exit(0)  # threads of torch that still run may abort an interpreter that ends
"""


def test_two_processes_step_as_one(tmp_path):
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    alone, both = tmp_path / "alone", tmp_path / "both"
    common = {"cwd": REPOSITORY, "check": True, "timeout": 120, "env": {
        "PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}}
    subprocess.run([sys.executable, script, alone, "0"], **common)
    subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
                    script, both, "0"], **common)
    kept = torch.load(alone / "0.pt", weights_only=True)[0]
    (first, clock), (second, other) = (torch.load(both / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert clock == other == 0
    for key in kept:
        torch.testing.assert_close(first[key], second[key], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(first[key], kept[key], rtol=1e-5, atol=1e-6)


def test_a_batch_that_is_no_number_teaches_nothing(tmp_path):
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
    run = loop.Run(loop.RunConfig(out=tmp_path, rate=0.1, warm_up=1), network)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    run.update(network(torch.full((4, 3), torch.nan)).square().mean())
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)
    run.update(network(torch.arange(12.0).reshape(4, 3)).square().mean())
    assert run.step == 1 and all(value.isfinite().all() for value in run.average.values())
    assert not torch.equal(network[1].weight, before["1.weight"])


def test_the_rate_warms_up_and_falls():
    config = loop.RunConfig(out=Path("run"), minutes=10.0, rate=0.1, warm_up=10)
    assert loop.rate_at(config, 0, 0.0) == pytest.approx(0.01)
    assert loop.rate_at(config, 10, 0.0) == pytest.approx(0.1)
    assert loop.rate_at(config, 10, 5.0) == pytest.approx(0.1 * (0.02 + 0.98 / 2))
    assert loop.rate_at(config, 10, 20.0) == pytest.approx(0.002)


def test_a_background_ends_with_who_reads_it():
    before, made = set(threading.enumerate()), iter(range(1000))
    batches = loop.background(lambda: next(made), depth=2)
    assert [next(batches) for _ in range(5)] == [0, 1, 2, 3, 4]
    ours = set(threading.enumerate()) - before
    batches.close()
    for thread in ours:
        thread.join(60)
    assert ours and not any(thread.is_alive() for thread in ours) and next(made) < 12


def test_an_error_in_the_background_is_raised_where_it_is_read():
    batches = loop.background(lambda: [][0])
    with pytest.raises(IndexError):
        next(batches)


def test_weights_of_another_shape_keep_their_initial_values(tmp_path):
    from safetensors.torch import save_file
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    first = network[1].weight.clone()
    weights = {"0.weight": torch.ones(3, 2), "1.weight": torch.ones(1, 4), "other": torch.ones(1)}
    save_file(weights, tmp_path / "w.safetensors")
    loop.start_from(network, tmp_path / "w.safetensors")
    assert torch.equal(network[0].weight, torch.ones(3, 2)) and torch.equal(network[1].weight, first)


@pytest.mark.parametrize("found, expected", [
    ({"avx2": True, "avx512_f": True}, torch.float32), ({"avx512_bf16": True}, torch.bfloat16),
    ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16), ({"neon": True}, torch.float32)])
def test_bfloat16_is_taken_where_the_processor_multiplies_it(monkeypatch, found, expected):
    from near_core.lab.training.stages import intrinsics
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    network, kinds = intrinsics.IntrinsicsOnly().eval(), []
    network.intrinsics.out[-1].register_forward_hook(lambda layer, given, made: kinds.append(made.dtype))
    with torch.no_grad():
        layers = intrinsics.predict(network, {"image": torch.rand(1, 4, 128, 128), "pose": torch.rand(1, 6)})[0]
    assert kinds == [expected] and layers.dtype == torch.float32


def test_every_stage_asks_the_processor_before_it_takes_bfloat16():
    stages = {path.name: path.read_text() for path in Path(loop.__file__).parent.rglob("*.py")}
    assert [name for name, text in stages.items() if "bfloat16" in text] == ["loop.py"]
    assert not [name for name, text in stages.items() if "torch.autocast(" in text and name != "loop.py"]
