"""What translators, the bench, the evaluation and a release write for themselves to read again: damaged as files of
strangers are."""

from __future__ import annotations

import json
from pathlib import Path
from string import Formatter
from types import SimpleNamespace
from urllib.parse import quote, unquote, urlsplit

from near_core import files
from near_core.errors import NearError
from near_core.lab.bench import results
from near_core.lab.evaluation import ceiling, evaluate, summary
from near_core.published import checkpoints, interpreter
from release import checks, matrix
from release.shell import Stop

ROOT = Path(__file__).resolve().parents[2]
MEASURED = {"object_psnr": 30.0, "full_psnr": 31.0, "alpha_iou": .9}


def make_languages() -> list[bytes]:
    """The table that is shipped, in part. Blender itself takes what is read of it, so it has to be there."""
    import bpy  # noqa: F401
    lines = (ROOT / "near_blender/assets/translations.tsv").read_bytes().split(b"\n")
    return [b"\n".join([lines[0], *[line for line in lines[1:] if b"{" in line][:40], *lines[1:20]])]


def read_languages(path: Path) -> None:
    """Has Blender take a table, and sentences filled by it."""
    import bpy

    from near_blender import translations
    table = translations.read_table(path)
    bpy.app.translations.register("attacked", translations.make_catalogue(table))
    bpy.app.translations.unregister("attacked")
    for text in table.keys() & translations.read_table().keys():  # of the others nobody asks
        values = {field: 3 for _, field, *_ in Formatter().parse(text) if field}
        for said in table[text].values() if values else ():
            said.format(**values)


def make_benches() -> list[bytes]:
    """Every part that the bench measures."""
    known = json.loads((ROOT / "docs/benchmarks/results.json").read_text())
    machine = known["cycles"]["machine"]
    short = {name: {"machine": machine, "rows": dict(list(part["rows"].items())[:2])} for name, part in known.items()}
    scale = {"first": 1.0, "new_map": 1.0, "moved": 0.5, "memory_gb": 2.0, "goals": {"seconds": 8}, "load": 1.0}
    latency = {"p50": 0.5, "p95": 0.75, "runs": 3, "goal": 1.0, "load": 1.0}
    copying = {"seconds": 0.5, "copying": 0.01, "load": 1.0}
    short["phases"]["rows"]["F12"] = copying
    return [json.dumps(short | {"scale": {"machine": machine, "rows": {"100": scale}},
                                "latency": {"machine": machine, "rows": {"camera": latency}}}).encode()]


def read_bench(path: Path) -> None:
    """As bench goes on with it."""
    kept = files.read_json(path, "Choose another file.")
    with files.expecting(path, "Choose another file."):
        made = results.compose(kept)
        assert all(Path(name).name == name for name in made), "a chart in another folder"


def make_ceilings() -> list[bytes]:
    """A table of what surfels could draw."""
    row = {"asset": "a", "per_voxel": 1, "resolution": 64, "gaussians": 9, "voxels": 9, **MEASURED}
    return [json.dumps({"dataset": "d", **ceiling.tabulate([row, row | {"asset": "b", "per_voxel": 2}])}).encode()]


def read_ceiling(path: Path) -> None:
    """As another run goes on with it."""
    for row in ceiling._rows_so_far(path, {"dataset": "d"}):
        assert {(row["asset"], row["per_voxel"])}


def make_evaluations() -> list[bytes]:
    """What is kept of one asset."""
    rows = [{"task": 1, "asset": "a", "n": n, "column": "given", "errors": MEASURED | {"lpips": .1, "ssim": .9},
             "passes": {"Normal": 9.0} if n == 0 else {}, "classes": {}, "pictures": ""} for n in (0, 1)]
    return [json.dumps({"key": "k", "rows": rows}).encode()]


def read_evaluation(path: Path) -> None:
    """As another run goes on with it, or measures again."""
    again = SimpleNamespace(key="k", measure=lambda asset: [])
    rows = evaluate._measure_once(path, again, "a")
    if rows:
        summary.summarize_tasks(rows)
        evaluate._format_progress(rows, "a")


def make_listings() -> list[bytes]:
    """A repository's index.json."""
    return [json.dumps({"version": "v1", "blocklist": [], "data": [{
        "id": "near", "archive_url": "./a.zip", "archive_size": 3, "archive_hash": "sha256:00"}]}).encode()]


def read_listing(path: Path) -> None:
    """As a release is checked."""
    checks.DIST = path.parent
    path.replace(path.with_name("index.json"))
    assert all(isinstance(line, str) for line in checks.check_listing([]))


def make_matrices() -> list[bytes]:
    """What was run in which Blender."""
    outcome = {"passed": 1, "failed": 0, "skipped": 0, "commit": "a", "day": "2026-01-01"}
    return [json.dumps([{"blender": "4.2.23", "kind": "module", "python": "3.11", "system": "Debian",
                         "device": "A chip", "files": {"blender/test_a.py": outcome}}]).encode()]


def read_matrix(path: Path) -> None:
    """As the next run goes on with it."""
    matrix.RECORD = path
    try:
        matrix.draw_table(matrix.sort(matrix.read_record()))
    except Stop as stop:
        raise NearError("It is no record.", "Take another.") from stop


def make_downloads() -> list[bytes]:
    """What a checkpoint's folder was downloaded from."""
    return [json.dumps({"repository": "a/b", "revision": "0" * 40, "verified": True, "files": [
        {"path": "x/model.safetensors", "size": 9, "digest": "sha256:00"}]}).encode()]


def read_download(path: Path) -> None:
    """As the preferences tell of it and a download goes on."""
    path.replace(path.with_name(checkpoints.RECORD))
    record = checkpoints.read_record(path.parent)
    if record is not None:
        assert checkpoints.count_bytes(path.parent, record) >= 0
        assert all((path.parent / each.path).resolve().is_relative_to(path.parent.resolve()) for each in record.files)
        checkpoints.write_record(path.parent, record)
        assert quote(record.repository) and f"{record.revision}{record.files[0].digest.lower() if record.files else 1}"


def make_plans() -> list[bytes]:
    """Which wheels a Python is set up with."""
    return [json.dumps({"packages": ["a"], "wheels": [{"url": "https://x/torch-1.whl", "sha256": "00"}]}).encode()]


def read_plan(path: Path) -> None:
    """As another set-up goes on with it."""
    for each in interpreter.read_plan(path, ("a",)) or ():
        assert "/" not in unquote(urlsplit(each["url"]).path).rpartition("/")[2] and each["sha256"] is not None
