"""The verb bench: all parts in the quick way, rows that stay, what it says of the machine."""

import json

import pytest

from near_core.commands import cli
from near_core.lab.bench import bench


def test_an_unknown_part_or_size_is_told(capsys):
    assert cli.main(["bench", "--parts", "cycles,speed"]) == 2 and "speed" in capsys.readouterr().err
    assert cli.main(["bench", "--sizes", "8k"]) == 2 and "8k" in capsys.readouterr().err


def test_rows_stay_beside_those_that_are_measured_again_and_become_pages(tmp_path):
    file, plots = tmp_path / "r.json", tmp_path / "plots"
    row = {"p50": 0.5, "p95": 0.75, "runs": 3, "load": 1.0, "commit": "abcdef0"}
    file.write_text(json.dumps({"latency": {"machine": bench.describe_machine(0), "rows": {"camera": row}}}))
    assert cli.main(["bench", "--quick", "--parts", "splatting", "--json", str(file), "--plots", str(plots)]) == 0
    made = json.loads(file.read_text())
    assert made["latency"]["rows"] == {"camera": row}
    for row in made["splatting"]["rows"].values():
        assert row["over_floor"] > row["over_floor_left"] > 0 and row["pairs_left"] > row["pairs"] > 0
        assert row["memory"] > 0 and row["memory_in_order"] > 0
        assert row["commit"] == made["splatting"]["machine"]["commit"]
    assert made["splatting"]["machine"]["isa"] in ("baseline", "avx2", "avx512")
    numbers = (plots / "numbers.md").read_text()
    assert "| camera | 0.500 | 0.750 | 3 |" in numbers and "10000 256x256 one thread" in numbers
    assert "commit abcdef0. Load" in numbers
    assert {path.name for path in plots.iterdir()} == {"numbers.md", "splatting.svg", "latency.svg"}


@pytest.mark.slow
def test_every_part_runs(tmp_path):
    pytest.importorskip("bpy")
    file = tmp_path / "r.json"
    assert cli.main(["bench", "--quick", "--json", str(file), "--plots", str(tmp_path / "plots"), "--sizes", "128",
                     "--reference-samples", "64", "--cache", str(tmp_path / "cache")]) == 0
    made = json.loads(file.read_text())
    assert set(made) == set(bench.PARTS)
    (race,) = made["cycles"]["rows"].values()
    assert race["psnr"] > 35 and race["reached"] and race["ratio"] > 0
    for name, row in made["phases"]["rows"].items():
        if "copying" not in row:
            assert row["rasterizing"] > 0 and abs(sum(row[phase] for phase in bench.phases.PHASES)
                                                  - row["seconds"]) < 0.3 * row["seconds"], name
