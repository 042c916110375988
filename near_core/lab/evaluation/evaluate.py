"""The verb evaluate: pictures of a data set against their truth, by the protocol of docs/evaluation.md."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from ... import __version__, files, image
from ...asset import NeuralAsset
from ...create.create import create_from_image, create_from_mesh
from ...errors import NearError
from ...models.mini.runtime import NearMini
from ...render.renderer import Renderer
from ...scene import Instance, Settings
from ..datasets.dataset import Dataset, DatasetView
from . import error_classes, metrics, report
from .baselines import VisibilityRenderer, average_color, fill_silhouette, take_opaque_photo, take_photo
from .lpips import Lpips
from .summary import PictureScore, summarize_categories, summarize_tasks

# task -> the numbers of the pictures it predicts; task 1 creates from the mesh, the others from picture 0
TASKS = {1: (0, 1, 2, 3, 4), 2: (0,), 3: (1,), 4: (2, 3, 4), 5: (5,)}
TITLES = {1: "forward rendering of the mesh", 2: "the photo again", 3: "relighting, same view",
          4: "relighting, new view", 5: "uniform white light"}
PHOTO = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core evaluate`."""
    parser.add_argument("--dataset", type=Path, required=True, help="folder as written by render-dataset")
    parser.add_argument("--tasks", default="1,2,3,4,5", help="which tasks, e.g. 1,3")
    parser.add_argument("--json", type=Path, required=True, help="where the numbers go")
    parser.add_argument("--report", type=Path, help="a self-contained HTML page, worst first")
    parser.add_argument("--save-images", type=Path, metavar="DIR", help="every prediction as <asset>/<n>.t<task>.exr")
    parser.add_argument("--assets", help="only these, separated by commas")
    parser.add_argument("--shading", choices=("auto", "transport", "split-sum"), default="auto")
    parser.add_argument("--given-only", action="store_true",
                        help="leave out the second column (default camera, own matte)")
    parser.add_argument("--lpips", type=Path, metavar="DIR", help="folder with the weights of LPIPS, to measure it too")
    parser.add_argument("--threads", type=int, default=0, help="0 = all")


def run(args: argparse.Namespace) -> int:
    """Carries out `near_core evaluate`. Returns the exit status; raises NearError."""
    dataset = Dataset(args.dataset)
    tasks = _chosen_tasks(args.tasks)
    assets = _chosen_assets(dataset, args.assets)
    evaluator = Evaluator(dataset, tasks, Settings(shading=args.shading, threads=args.threads),
                          own_column=not args.given_only, save_images=args.save_images,
                          pictures=args.report is not None, lpips=args.lpips and Lpips(args.lpips))
    cache = args.json.with_name(args.json.name + ".parts")
    started, rows = time.perf_counter(), []
    for number, asset in enumerate(assets):
        rows += _cached(cache / f"{asset}.json", evaluator, asset)
        spent = time.perf_counter() - started
        print(f"{number + 1}/{len(assets)} {asset}  {_line(rows, asset)}  {spent:.0f} s", file=sys.stderr, flush=True)
    result = summarize_tasks(rows) | {"dataset": dataset.meta.get("name", dataset.path.name), "version": __version__,
                              "shading": args.shading, "engine": evaluator.engine, "assets": assets,
                              "seconds": round(time.perf_counter() - started, 1)}
    result["per_category"] = summarize_categories(rows, dataset.categories)
    _write(args.json, json.dumps(result, indent=1))
    if args.report:
        _write(args.report, report.compose_page(result, rows, TITLES))
    for task, numbers in result["tasks"].items():
        print(f"task {task}: object {_db(numbers['object_psnr']['mean'])}, full {_db(numbers['full_psnr']['mean'])}  "
              + ", ".join(f"{name} {_db(b['object_psnr']['mean'])} / {_db(b['full_psnr']['mean'])}"
                          for name, b in numbers["baselines"].items()), file=sys.stderr)
    return 0


class Evaluator:
    """Predicts the pictures of one asset after the other and measures them.

    tasks: numbers from TASKS. settings: how predictions are drawn. own_column: also create without the given alpha and
    camera. save_images: folder for predictions or None. pictures: keep thumbnails for a report. lpips: measured too
    where it is given. model: instead of the embedded one. Raises NearError where the model lacks what the tasks need.
    """

    def __init__(self, dataset: Dataset, tasks: tuple[int, ...], settings: Settings, own_column: bool = True,
                 save_images: Path | None = None, pictures: bool = False, lpips: Lpips | None = None,
                 model: NearMini | None = None):
        self.dataset, self.tasks, self.settings = dataset, tasks, settings
        self.own_column, self.save_images, self.pictures = own_column, save_images, pictures
        self.lpips, self.engine = lpips, fingerprint()
        self._renderer = Renderer(model)
        self._visibility = VisibilityRenderer(self._renderer)
        self._model = self._renderer.model
        if max(tasks) > 1 and not {"intrinsics", "structure", "slat"} <= set(self._model.graphs):
            raise NearError("Tasks 2 to 5 need the photo networks, which this build does not have.", "Use --tasks 1.")

    @property
    def key(self) -> str:
        """Changes with anything that may change a number: code, weights, data set, settings."""
        parts = (self.engine, json.dumps(self.dataset.meta, sort_keys=True), repr(self.settings), str(self.tasks),
                 str(self.own_column), str(self.save_images), str(self.pictures), str(bool(self.lpips)))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def measure(self, asset: str) -> list[PictureScore]:
        """All rows of one asset, in the order of the tasks."""
        rows = self._forward(asset) if 1 in self.tasks else []
        if any(task > 1 for task in self.tasks):
            rows += self._from_photo(asset)
        return rows

    def _forward(self, asset: str) -> list[PictureScore]:
        neural = create_from_mesh(self.dataset.mesh(asset), name=asset, model=self._model)
        rows = []
        for view in self._views(asset, 1):
            drawn = {"given": self._draw(neural, view, self.settings)}
            for shading in ("split-sum", "transport"):
                if shading == self.settings.shading:
                    continue
                if shading == "transport" and "lad" not in self._model.graphs:  # then "auto" has just drawn it
                    drawn[shading] = {"Combined": drawn["given"]["Combined"]}
                else:
                    drawn[shading] = self._draw(neural, view, replace(self.settings, shading=shading, passes=("Combined",)))
            drawn["visibility"] = self._draw(neural, view, replace(self.settings, passes=("Combined",)), self._visibility)
            made = [self._row(1, view, column, prediction) for column, prediction in drawn.items()]
            truth = view.passes() if view.n == PHOTO else {}
            if error_classes.NEEDED <= set(truth):
                masks = error_classes.classify(truth, drawn["given"]["Shadow"])
                for row in made:
                    row.classes = error_classes.sum_errors(drawn[row.column]["Combined"], truth["Combined"], masks)
            rows += made
        return rows

    def _from_photo(self, asset: str) -> list[PictureScore]:
        view = self.dataset.view(asset, PHOTO)
        given = take_photo(view.image())
        colour = average_color(view.image())
        neural = create_from_image([given], camera=view.camera, name=asset, model=self._model)
        rows = []
        for task in (t for t in self.tasks if t > 1):
            for target in self._views(asset, task):
                prediction = self._draw(neural, target, self.settings)
                silhouette = prediction["Combined"][..., 3:]
                rows.append(self._row(task, target, "given", prediction))
                rows += [self._row(task, target, name, {"Combined": fill_silhouette(silhouette, c)}) for name, c in
                         (("mean_color", colour), ("mean_color_oracle", average_color(target.image())))]
        if self.own_column:
            neural = create_from_image([take_opaque_photo(view)], name=asset, model=self._model)
            rows += [self._row(task, target, "own", self._draw(neural, target, self.settings))
                     for task in self.tasks if task > 1 for target in self._views(asset, task)]
        return rows

    def _views(self, asset: str, task: int) -> list[DatasetView]:
        return [view for view in self.dataset.views(asset) if view.n in TASKS[task]]

    def _draw(self, neural: NeuralAsset, view: DatasetView, settings: Settings,
              renderer: Renderer | None = None) -> dict[str, np.ndarray]:
        renderer = renderer or self._renderer
        return renderer.render([Instance(neural, np.eye(4))], view.camera, view.environment(), settings)

    def _row(self, task: int, view: DatasetView, column: str, prediction: dict[str, np.ndarray]) -> PictureScore:
        picture, truth = prediction["Combined"], view.image()
        row = PictureScore(task, view.asset, view.n, column, metrics.measure_picture(picture, truth, self.lpips))
        if view.n == PHOTO and len(prediction) > 1:
            row.passes = metrics.measure_passes(prediction, view.passes())
        if column == "given" and self.save_images:
            folder = self.save_images / view.asset
            folder.mkdir(parents=True, exist_ok=True)
            image.write_exr(folder / f"{view.n}.t{task}.exr", {"Combined": picture})
        if column == "given" and self.pictures:
            row.pictures = report.encode_strip(picture, truth)
        return row


def fingerprint() -> str:
    """Hash of the engine's code and weights, so that no number outlives what made it."""
    digest = hashlib.sha256()
    core = Path(__file__).parents[2]
    kernels, training = core.parent / "kernels", core / "lab" / "training"
    read = [*core.rglob("*.py"), *core.glob("weights/**/*"), *kernels.rglob("*.py"), *kernels.glob("src/*")]
    for path in sorted(p for p in read if p.is_file() and not p.is_relative_to(training)):
        digest.update(path.name.encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cached(path: Path, evaluator: Evaluator, asset: str) -> list[PictureScore]:
    """The asset's rows from an earlier run with the same key, else measured and kept."""
    try:
        kept = json.loads(path.read_text())
        if kept["key"] == evaluator.key:
            return [PictureScore(**row) for row in kept["rows"]]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, cut off or of an older version: measure
    rows = evaluator.measure(asset)
    _write(path, json.dumps({"key": evaluator.key, "rows": [vars(row) for row in rows]}))
    return rows


def _chosen_tasks(text: str) -> tuple[int, ...]:
    try:
        tasks = tuple(dict.fromkeys(int(t) for t in text.split(",")))
    except ValueError:
        tasks = ()
    if not tasks or not set(tasks) <= set(TASKS):
        raise NearError(f"--tasks {text} names no tasks.", "Give numbers from 1 to 5, e.g. --tasks 1,3.")
    return tasks


def _chosen_assets(dataset: Dataset, text: str | None) -> list[str]:
    if text is None:
        return dataset.assets
    names = text.split(",")
    unknown = set(names) - set(dataset.assets)
    if unknown:
        raise NearError(f"The data set has no asset {sorted(unknown)[0]}.", "See assets in its meta.json.")
    return names


def _line(rows: list[PictureScore], asset: str) -> str:
    """object / full PSNR of each task of an asset, for the progress line."""
    parts = []
    for task in sorted({row.task for row in rows}):
        chosen = [r for r in rows if (r.asset, r.task, r.column) == (asset, task, "given")]
        if chosen:
            means = [np.mean([r.errors[key] for r in chosen]) for key in ("object_psnr", "full_psnr")]
            parts.append(f"t{task} {means[0]:.1f}/{means[1]:.1f}")
    return "  ".join(parts)


def _db(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _write(path: Path, text: str) -> None:
    """Writes a text file, and its folder where there is none."""
    with suppress(OSError):  # the next line says what is wrong
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, text)
