"""What the hub says of a checkpoint, and what a folder of published networks says of itself."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

from near_core.errors import NearError
from near_core.published import checkpoints, download

SETTINGS = {"input_dim": 32, "output_dim": 5, "hidden_dim": 16, "num_layers": 3, "activation": "silu"}
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def make_hubs() -> list[bytes]:
    """A revision and its list of files."""
    listed = [{"type": "file", "path": "pipeline.yaml", "size": 9, "oid": "0" * 40},
              {"type": "directory", "path": "ckpts", "size": 0, "oid": "0" * 40},
              {"type": "file", "path": "ckpts/decoder.safetensors", "size": 99, "oid": "0" * 40,
               "lfs": {"oid": "0" * 64, "size": 99}}]
    return [json.dumps({"revision": {"sha": "0" * 40}, "files": listed}).encode()]


def read_hub(path: Path) -> None:
    """As a download begins."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        answers = [json.dumps(told[part]).encode() for part in ("revision", "files")]
    except UNREADABLE:
        answers = [path.read_bytes()] * 2
    kept, download.read = download.read, lambda url, limit=0: answers.pop(0)
    try:
        record = checkpoints.look_up(checkpoints.CATALOGUE["near"])
    finally:
        download.read = kept
    assert all((path.parent / each.path).resolve().is_relative_to(path.parent.resolve()) for each in record.files)
    checkpoints.write_record(path.parent, record)
    assert checkpoints.read_record(path.parent) == record, "what is written is not read again"


@functools.cache
def _lay_out() -> tuple[dict[str, Any], int]:
    """The head of a network's file of weights, and how many bytes follow it."""
    import torch

    from near_core.models.near.basis import NeuralBasis
    with torch.device("meta"):
        network = NeuralBasis(**SETTINGS)
    head, at = {}, 0
    for key, value in network.state_dict().items():
        end = at + 4 * value.numel()
        head[key], at = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, end]}, end
    return head, at


def make_checkpoints() -> list[bytes]:
    """The manifest, a network's settings, and the head of its weights."""
    from near_core.models.near.checkpoint import REQUIRED
    return [json.dumps({"args": {
        "models": dict.fromkeys(REQUIRED, "ckpts/one"), "slat_normalization": {"mean": [.5] * 8, "std": [2] * 8},
        "slat_sampler": {"name": "Euler", "args": {"sigma_min": 1e-5}, "params": {"steps": 25, "rescale_t": 3.0}}},
        "network": {"name": "NeuralBasis", "args": SETTINGS}, "weights": _lay_out()[0]}).encode()]


def read_checkpoint(path: Path) -> None:
    """As the preferences look at one."""
    from near_core.models.near.checkpoint import open_checkpoint
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        network, weights = told.pop("network"), json.dumps(told.pop("weights")).encode()
    except UNREADABLE as error:
        raise NearError("It is no checkpoint.", "Take another.") from error
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        folder = Path(name)
        (folder / "ckpts").mkdir()
        (folder / "pipeline.json").write_text(json.dumps(told))
        (folder / "ckpts" / "one.json").write_text(json.dumps(network))
        (folder / "ckpts" / "one.safetensors").write_bytes(
            len(weights).to_bytes(8, "little") + weights + bytes(_lay_out()[1]))
        found = open_checkpoint(folder)
        assert {each["bytes"] for each in found.survey()} != {0}
        assert found.size("decoder") > 0
