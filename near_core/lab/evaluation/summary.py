"""From the numbers of pictures to the numbers of a report."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from . import error_classes, metrics

IMAGE_NUMBERS = ("object_psnr", "full_psnr", "ssim", "flip", "alpha_iou", "lpips")
SMALLER_IS_BETTER = ("flip", "lpips")


@dataclass
class PictureScore:
    """The numbers of one predicted picture.

    column: "given" (the photo's alpha and camera are given), "own" (default camera, own matte), or a baseline's name.
    errors: of metrics.measure_picture. passes: of metrics.measure_passes on picture 0, else empty. classes: of
    error_classes.sum_errors on picture 0 of task 1, else empty. pictures: a PNG data URI, else empty.
    """

    task: int
    asset: str
    n: int
    column: str
    errors: dict
    passes: dict = field(default_factory=dict)
    classes: dict = field(default_factory=dict)
    pictures: str = ""


def summarize_tasks(rows: list[PictureScore]) -> dict:
    """The report's numbers: per task over assets (each the mean of its pictures), and per picture."""
    tasks = {}
    for task in sorted({row.task for row in rows}):
        of_task = [row for row in rows if row.task == task]
        columns = {column: [r for r in of_task if r.column == column]
                   for column in dict.fromkeys(r.column for r in of_task)}
        numbers = _summarize_column(columns.pop("given"))
        own = columns.pop("own", None)
        numbers["baselines"] = {name: _summarize_column(found) for name, found in columns.items()}
        if own:
            numbers["own_camera_and_matte"] = _summarize_column(own)
        tasks[str(task)] = numbers
    return {"tasks": tasks, "per_view": [
        {"task": r.task, "asset": r.asset, "n": r.n, "column": r.column} | r.errors
        | ({"passes": r.passes} if r.passes else {}) for r in rows]}


def summarize_categories(rows: list[PictureScore], categories: dict[str, str]) -> dict:
    """task -> category -> object and full PSNR of the prediction's column, and the number of assets."""
    found: dict = {}
    for task in sorted({row.task for row in rows}):
        for category in sorted({categories.get(row.asset, "") for row in rows}):
            chosen = [r for r in rows if r.task == task and r.column == "given"
                      and categories.get(r.asset, "") == category]
            if chosen:
                numbers = _summarize_column(chosen)
                found.setdefault(str(task), {})[category or "other"] = {
                    key: numbers[key] for key in ("object_psnr", "full_psnr", "n")}
    return found


def _summarize_column(rows: list[PictureScore]) -> dict:
    numbers: dict = {key: metrics.summarize(_average_assets(rows, key), worst=max if key in SMALLER_IS_BETTER else min)
                     for key in IMAGE_NUMBERS if key != "lpips" or any(key in row.errors for row in rows)}
    passes = {key for row in rows for key in row.passes}
    if passes:
        numbers["passes"] = {key: float(np.mean([r.passes[key] for r in rows if key in r.passes]))
                             for key in sorted(passes)}
    if classes := [row.classes for row in rows if row.classes]:
        numbers["classes"] = error_classes.summarize_classes(classes)
    return numbers | {"n": len({row.asset for row in rows}), "pictures": len(rows)}


def _average_assets(rows: list[PictureScore], key: str) -> list[float]:
    values: dict[str, list[float]] = {}
    for row in rows:
        if row.errors.get(key) is not None and np.isfinite(row.errors[key]):
            values.setdefault(row.asset, []).append(row.errors[key])
    return [float(np.mean(v)) for v in values.values()]
