"""The verb evaluate: pictures of a data set against their truth, by the protocol of docs/evaluation.md."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from ... import __version__, files
from ...errors import NearError
from ...scene import Settings
from ..datasets.dataset import Dataset
from . import report
from .evaluator import TASKS, Configs, Evaluator
from .lpips import Lpips
from .overrides import list_changes, override
from .summary import PictureScore, summarize_categories, summarize_tasks

TITLES = {1: "forward rendering of the mesh", 2: "the photo again", 3: "relighting, same view",
          4: "relighting, new view", 5: "uniform white light"}
HALVES = {"first": 0, "second": 1}  # where every other asset by name begins


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core evaluate`."""
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR",
                        help="folder as written by render-dataset")
    parser.add_argument("--tasks", default="1,2,3,4,5", help="which tasks, as 1,3; default: all five")
    parser.add_argument("--json", type=Path, required=True, metavar="R.json", help="where the numbers go")
    parser.add_argument("--report", type=Path, metavar="R.html",
                        help="where a page goes that shows the worst pictures first; default: none")
    parser.add_argument("--save-images", type=Path, metavar="DIR",
                        help="where every prediction goes, as <asset>/<n>.t<task>.exr; default: nowhere")
    parser.add_argument("--assets", metavar="A,B", help="only these; default: all")
    parser.add_argument("--half", choices=HALVES, help="only every other asset by name; default: all")
    parser.add_argument("--set", action="append", default=[], metavar="CONFIG.FIELD=VALUE",
                        help="another value of what was tuned, as reconstruction.normal_blend=0.4; may be given again")
    parser.add_argument("--shading", choices=("auto", "transport", "split-sum"), default="auto",
                        help="auto: the trained model where there is one (default); transport: light transport alone; "
                             "split-sum: prefiltered light without shadows")
    parser.add_argument("--quality", choices=("final", "draft"), default="final",
                        help="draft: surfels alone, fewer rays and samples; default: final")
    parser.add_argument("--given-only", action="store_true",
                        help="leave out the second column (default camera, own matte)")
    parser.add_argument("--lpips", type=Path, metavar="DIR", help="folder with the weights of LPIPS, to measure it too")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="processor threads; default: 0, all")


def run(args: argparse.Namespace) -> int:
    """Carries out `near_core evaluate`. Returns the exit status; raises NearError."""
    dataset = Dataset(args.dataset)
    assets, configs = _choose_assets(dataset, args.assets, args.half), override(Configs(), args.set)
    evaluator = Evaluator(dataset, _parse_tasks(args.tasks), Settings(args.quality, args.shading, threads=args.threads),
                          own_column=not args.given_only, save_images=args.save_images,
                          pictures=args.report is not None, lpips=args.lpips and Lpips(args.lpips), configs=configs)
    cache = args.json.with_name(args.json.name + ".parts")
    started, rows = time.perf_counter(), []
    for number, asset in enumerate(assets):
        rows += _measure_once(cache / f"{asset}.json", evaluator, asset)
        spent = time.perf_counter() - started
        print(f"{number + 1}/{len(assets)} {asset}  {_format_progress(rows, asset)}  {spent:.0f} s", file=sys.stderr,
              flush=True)
    result = summarize_tasks(rows) | {
        "dataset": dataset.meta.get("name", dataset.path.name), "version": __version__, "shading": args.shading,
        "quality": args.quality,
        "engine": evaluator.engine, "set": list_changes(configs, Configs()), "half": args.half, "assets": assets,
        "per_category": summarize_categories(rows, dataset.categories),
        "seconds": round(time.perf_counter() - started, 1)}
    _write(args.json, json.dumps(result, indent=1))
    if args.report:
        _write(args.report, report.compose_page(result, rows, TITLES))
    for task, numbers in result["tasks"].items():
        print(f"task {task}: object {_format_db(numbers, 'object_psnr')}, full {_format_db(numbers, 'full_psnr')}  "
              + ", ".join(f"{name} {_format_db(found, 'object_psnr')} / {_format_db(found, 'full_psnr')}"
                          for name, found in numbers["baselines"].items()), file=sys.stderr)
    return 0


def _measure_once(path: Path, evaluator: Evaluator, asset: str) -> list[PictureScore]:
    """The asset's rows from an earlier run with the same key, else measured and kept."""
    try:
        kept = json.loads(path.read_text())
        if kept["key"] == evaluator.key:
            rows = [PictureScore(**row) for row in kept["rows"]]
            summarize_tasks(rows), _format_progress(rows, asset)  # what cannot be told is none
            return rows
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        pass  # not there, cut off or of an older version: measure
    rows = evaluator.measure(asset)
    _write(path, json.dumps({"key": evaluator.key, "rows": [vars(row) for row in rows]}))
    return rows


def _parse_tasks(text: str) -> tuple[int, ...]:
    try:
        tasks = tuple(dict.fromkeys(int(t) for t in text.split(",")))
    except ValueError:
        tasks = ()
    if not tasks or not set(tasks) <= set(TASKS):
        raise NearError(f"--tasks {text} names no tasks.", "Give numbers from 1 to 5, e.g. --tasks 1,3.")
    return tasks


def _choose_assets(dataset: Dataset, text: str | None, half: str | None) -> list[str]:
    """The assets that --assets and --half leave, in their order. Raises NearError where none is left."""
    names = dataset.assets if text is None else text.split(",")
    unknown = set(names) - set(dataset.assets)
    if unknown:
        raise NearError(f"The data set has no asset {sorted(unknown)[0]}.", "See assets in its meta.json.")
    chosen = names if half is None else [name for name in names if name in sorted(dataset.assets)[HALVES[half]::2]]
    if not chosen:
        raise NearError(f"None of the assets is in the {half} half.", "Choose the other half, or more assets.")
    return chosen


def _format_progress(rows: list[PictureScore], asset: str) -> str:
    """object / full PSNR of each task of an asset, for the progress line."""
    parts = []
    for task in sorted({row.task for row in rows}):
        chosen = [r for r in rows if (r.asset, r.task, r.column) == (asset, task, "given")]
        if chosen:
            means = [np.mean([r.errors[key] for r in chosen]) for key in ("object_psnr", "full_psnr")]
            parts.append(f"t{task} {means[0]:.1f}/{means[1]:.1f}")
    return "  ".join(parts)


def _format_db(numbers: dict, key: str) -> str:
    mean = numbers[key]["mean"]
    return "-" if mean is None else f"{mean:.2f}"


def _write(path: Path, text: str) -> None:
    """Writes a text file, and its folder where there is none."""
    with suppress(OSError):  # the next line says what is wrong
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, text)
