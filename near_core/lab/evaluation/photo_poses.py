"""How well the camera of a photo of a known shape is found.

    python -m near_core.lab.evaluation.photo_poses --dataset D --half held

The photos are pictures 0 and 2 of every object. The search begins at the view, of front, right, back and left, that is
nearest; picture 0 is a front.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np

from ... import mesh as meshes
from ...create.photo import prepare
from ...create.resection import open_resection
from ...models.mini.runtime import NearMini
from ..datasets.dataset import Dataset, DatasetView
from .baselines import take_photo


def measure_pose(model: NearMini, view: DatasetView, shape: meshes.Mesh, wrong: float, fov: float | None
                 ) -> dict[str, float]:
    """Degrees between the found camera and the true one, the distance between their places over their distance, the
    overlap of the outlines, and seconds. wrong: degrees added to where the search begins. fov: as open_resection."""
    photo, truth = prepare(take_photo(view.image())), view.camera
    azimuth = math.degrees(math.atan2(truth.position[0], -truth.position[1]))
    started = time.perf_counter()
    first = 0.0 if view.n == 0 else round(azimuth / 90) * 90.0
    resection = open_resection(model, photo, shape, first + wrong, None, fov)
    camera = resection.place(resection.search())
    seconds = time.perf_counter() - started
    turn = camera.world_to_camera[:3, :3] @ photo.cropped(truth).world_to_camera[:3, :3].T
    return {"degrees": math.degrees(math.acos(np.clip((np.trace(turn) - 1) / 2, -1, 1))),
            "away": float(np.linalg.norm(camera.position - truth.position) / np.linalg.norm(truth.position)),
            "overlap": resection.measure_overlap(camera), "seconds": seconds}


def main(arguments: list[str] | None = None) -> int:
    """Prints a line for every photo, and medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--half", choices=("chosen", "held"), required=True,
                        help="of the objects: the half on which constants were chosen, or the other")
    parser.add_argument("--wrong", type=float, default=0.0, help="degrees added to where the search begins; default: 0")
    parser.add_argument("--free-lens", action="store_true", help="the field of view is searched, too")
    args = parser.parse_args(arguments)
    data, model, found = Dataset(args.dataset), NearMini(), []
    for asset in data.assets[args.half == "held"::2]:
        shape = data.mesh(asset)
        for number in (0, 2):
            view = data.view(asset, number)
            fov = math.degrees(2 * math.atan(0.5 * view.camera.width / view.camera.intrinsics[0, 0]))
            found.append(measure_pose(model, view, shape, args.wrong, None if args.free_lens else fov))
            said = ", ".join(f"{key} {value:.3g}" for key, value in found[-1].items())
            print(f"{asset} {number}: {said}", flush=True)
    for key, worst in (("degrees", max), ("away", max), ("overlap", min), ("seconds", max)):
        values = [each[key] for each in found]
        print(f"{key}: median {np.median(values):.3g}, worst {worst(values):.3g}")
    degrees = np.array([each["degrees"] for each in found])
    print(f"below 5 degrees: {(degrees < 5).sum()} of {len(degrees)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
