"""Stage `ceiling`: how well surfels could draw pictures at best, by how many there are of them.

Nothing is learned. The discs of a mesh are laid as the renderer lays them, on a grid of 64 sqrt(n) cells a side, about
n of them in a voxel of 64^3; then each gets, per picture, the one colour that makes the picture most like its truth.
What is still missing is what no shading can give.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ... import files
from ...asset import RESOLUTION, surfels, texels
from ...create import sampling
from ...errors import NearError
from ...render.discs import ProjectedDiscs
from ..datasets.dataset import Dataset
from ..options import option
from . import metrics

NUMBERS = ("object_psnr", "full_psnr", "alpha_iou")
CLOSE = 1.0  # dB below the best that still count as good enough
RATE = 0.06  # of Adam, in units of the root of a colour; falls to a tenth
BRIGHTEST = 2.0  # root of a colour
OTHER = "Choose another --json file."


def fit_colors(discs: ProjectedDiscs, truth: np.ndarray, steps: int) -> np.ndarray:
    """The colours (N, 3) that draw the truth (H, W, 4) best in the evaluation's measure: Adam from mean colours."""
    target, none = np.clip(truth[..., :3], 0, 1), np.zeros((len(discs.front), 3), np.float32)
    weight = discs.differentiate(none, np.ones_like(target))
    # the root of the colours: equal steps of it are about equal to eyes
    root = np.sqrt(discs.differentiate(none, target) / np.maximum(weight, 1e-6))
    wanted, mean, square = metrics.encode(truth), np.zeros_like(root), np.zeros_like(root)
    for step in range(1, steps + 1):
        drawn = discs.draw(root**2)
        slope = _slope(drawn[..., :3]) * (metrics.encode(drawn) - wanted)
        gradient = discs.differentiate(root**2, slope) * np.maximum(root, 0.01)
        mean += 0.2 * (gradient - mean)
        square += 0.05 * (gradient**2 - square)
        change = mean / (1 - 0.8**step) / (np.sqrt(square / (1 - 0.95**step)) + 1e-8)
        root = np.clip(root - RATE * 0.1 ** (step / steps) * change, 0, BRIGHTEST).astype(np.float32)
    return root**2


def _slope(linear: np.ndarray) -> np.ndarray:
    """The derivative of the sRGB encoding, 0 where it clips."""
    inside = np.clip(linear, 0.0031308, 1)
    slope = np.where(linear > 0.0031308, 1.055 / 2.4 * inside ** (1 / 2.4 - 1), 12.92)
    return np.where((linear < 0) | (linear > 1), 0, slope).astype(np.float32)


def measure(data: Dataset, asset: str, per_voxel: int, numbers: list[int], steps: int, width: float = 1.0,
            threads: int = 0) -> dict:
    """The ceiling of one asset, means over the pictures `numbers`, and how many discs it took."""
    mesh, resolution = data.mesh(asset), round(RESOLUTION * math.sqrt(per_voxel))
    discs = sampling.sample_surfels(mesh, resolution=resolution)
    errors = []
    for view in (data.view(asset, n) for n in numbers):
        drawing, truth = ProjectedDiscs.of(discs, resolution, view.camera, width, threads), view.image()
        errors.append(metrics.measure_picture(drawing.draw(fit_colors(drawing, truth, steps)), truth))
    voxels = len(sampling.voxelize(mesh, discs)[0])
    return {"asset": asset, "per_voxel": per_voxel, "resolution": resolution, "gaussians": len(discs), "voxels": voxels,
            **{key: float(np.mean([e[key] for e in errors])) for key in NUMBERS}}


def tabulate(rows: list[dict]) -> dict:
    """The table: for every number of discs per voxel the mean, median and worst over assets, and which number suffices.

    counts: per_voxel -> numbers. smallest_close: the smallest number of discs whose mean object PSNR is at most CLOSE
    below the best. used: the number whose grid is the renderer's texels' own, None where it was not measured.
    """
    counts = {}
    for n in sorted({row["per_voxel"] for row in rows}):
        chosen = [row for row in rows if row["per_voxel"] == n]
        counts[str(n)] = {key: metrics.summarize([row[key] for row in chosen]) for key in NUMBERS} | {
            "resolution": chosen[0]["resolution"], "gaussians": round(np.mean([row["gaussians"] for row in chosen])),
            "counted_per_voxel": float(np.mean([row["gaussians"] / row["voxels"] for row in chosen])), "n": len(chosen)}
    best = max(numbers["object_psnr"]["mean"] for numbers in counts.values())
    close = [int(n) for n, numbers in counts.items() if numbers["object_psnr"]["mean"] >= best - CLOSE]
    used = [int(n) for n, numbers in counts.items() if numbers["resolution"] == surfels.SURFEL_RESOLUTION * texels.EDGE]
    return {"counts": counts, "smallest_close": min(close), "used": used[0] if used else None, "per_asset": rows}


@dataclass(frozen=True, kw_only=True)
class CeilingConfig:
    """What is measured."""

    data: Path = option("a data set; pictures of 512 pixels or more say most", "folder")
    json: Path = option("where the table goes; a second run goes on with it", "file")
    counts: tuple[int, ...] = option("how many discs a voxel of 64^3 gets", "discs", (1, 2, 4, 8, 16), separated=True)
    views: tuple[int, ...] = option("which pictures of each asset are drawn", "their numbers", (0, 2), separated=True)
    assets: tuple[str, ...] = option("only these", "names with commas between", (), separated=True)
    steps: int = option("of Adam for a picture", "steps", 30)
    width: float = option("of the discs, times the renderer's", "factor", 1.0)
    threads: int = option("how many threads draw; 0 takes all", "threads", 0)


def measure_ceiling(config: CeilingConfig) -> None:
    """Measures how well surfels could draw pictures at best, asset after asset; the file grows with them and a second
    run goes on with it."""
    data = Dataset(config.data)
    options = {"dataset": data.meta.get("name", data.path.name), "pictures": list(config.views), "steps": config.steps,
               "width": config.width}
    rows = _rows_so_far(config.json, options)
    known = {(row["asset"], row["per_voxel"]) for row in rows}
    for asset in config.assets or data.assets:
        for per_voxel in config.counts:
            if (asset, per_voxel) in known:
                continue
            rows.append(measure(data, asset, per_voxel, list(config.views), config.steps, config.width, config.threads))
            print(f"{asset} {per_voxel}: {rows[-1]['gaussians']} discs, object {rows[-1]['object_psnr']:.2f} dB",
                  file=sys.stderr, flush=True)
            files.write(config.json, json.dumps(options | tabulate(rows), indent=1))
    for n, found in tabulate(rows)["counts"].items():
        print(f"{n:>3} per voxel, grid {found['resolution']}: object {found['object_psnr']['mean']:.2f}, "
              f"full {found['full_psnr']['mean']:.2f} dB, {found['gaussians']} discs")


def _rows_so_far(path: Path, options: dict) -> list[dict]:
    """The rows of an earlier run with the same options."""
    if not path.exists():
        return []
    kept = files.read_json(path, OTHER)
    with files.expecting(path, OTHER):
        if any(kept[key] != value for key, value in options.items()):
            raise NearError(f"{path.name} was measured with other options.", OTHER)
        rows = kept["per_asset"]
        tabulate(rows)
        if not all(isinstance(row["asset"], str) for row in rows):
            raise ValueError("a name")
        return rows
