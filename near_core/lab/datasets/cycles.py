"""The processes that render a plan with Cycles, and what becomes of their files.

This module never imports bpy: each worker is a child process, Python with the bpy module or Blender itself, that runs
SCRIPT on a plan.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from ... import image
from ...errors import NearError
from ...render.parallel import parallel_map

MARK = "near "  # begins a line of SCRIPT that is a message
SCRIPT = Path(__file__).parents[3] / "near_blender" / "lab" / "dataset.py"


class Crew:
    """The worker processes of one run and what they have done so far.

    args: the options of render-dataset. jobs: asset, model, folder and missing pictures (picture_plan) of each object.
    """

    def __init__(self, args: argparse.Namespace, jobs: list[dict]):
        self.args, self.jobs = args, jobs
        self.total = sum(len(job["pictures"]) for job in jobs)
        self.done, self.started = 0, time.perf_counter()
        self.failed: dict[str, str] = {}
        self.lock = threading.Lock()

    def work(self) -> dict[str, str]:
        """Renders everything. Returns asset -> reason of those that could not be rendered."""
        if not self.jobs:
            return {}
        command = find_blender(self.args.blender)
        count = max(1, min(self.args.workers, len(self.jobs)))
        parallel_map(lambda start: self._run_worker(command, self.jobs[start::count], count), range(count), count)
        return self.failed

    def _run_worker(self, command: list[str], jobs: list[dict], count: int) -> None:
        """Runs one child after the other until the jobs are done; one that dies loses the object it was at."""
        threads = self.args.threads or max(1, (os.cpu_count() or 1) // count)
        settings = {"resolution": self.args.size, "samples": self.args.samples, "threads": threads,
                    "hdris": str(self.args.hdris.resolve()),
                    "gbuffer": any(p["gbuffer"] for job in jobs for p in job["pictures"])}
        while jobs:
            with tempfile.TemporaryDirectory() as folder:
                plan, log = Path(folder) / "plan.json", Path(folder) / "log.txt"
                plan.write_text(json.dumps({"settings": settings, "jobs": jobs}))
                last, ended = self._follow([*command, str(plan)], log, {job["asset"]: job for job in jobs})
                said = log.read_text(errors="replace").strip().splitlines()
            if ended:
                return
            if not last:
                raise NearError(f"Blender could not be made to render ({said[-1] if said else 'it said nothing'}).",
                                "Give another one with --blender, 4.2 or newer, with Cycles.")
            self.failed[last] = "Blender stopped while it rendered this model"
            jobs = jobs[1 + next(i for i, job in enumerate(jobs) if job["asset"] == last):]

    def _follow(self, command: list[str], log: Path, jobs: dict[str, dict]) -> tuple[str, bool]:
        """Reads a child's messages to their end. Returns the object it was at and whether it finished."""
        last, finished = "", False
        with log.open("w") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors,
                                                       text=True, errors="replace") as child:
            for line in child.stdout or ():
                if not line.startswith(MARK):  # Blender's own words
                    continue
                message = json.loads(line[len(MARK):])
                last = message.get("begin", last)
                finished |= "finished" in message
                if "failed" in message:
                    self.failed[message["failed"]] = message["reason"] or "it could not be read"
                if "done" in message:
                    split_gbuffer(Path(jobs[message["done"]]["folder"]), message["n"])
                    self._report(message["done"])
        return last, finished

    def _report(self, asset: str) -> None:
        with self.lock:
            self.done += 1
            if self.done % 50 == 0 or self.done == self.total:
                spent = time.perf_counter() - self.started
                print(f"{self.done}/{self.total} pictures, {asset}, {spent / self.done:.3f} s each, "
                      f"{(self.total - self.done) * spent / self.done / 60:.0f} min to go", file=sys.stderr, flush=True)


def split_gbuffer(folder: Path, n: int) -> None:
    """Turns the multilayer files of a picture into n.basecolor, n.material, n.normal and n.depth.exr."""
    aovs, rays = (folder / f"{n}.{kind}.exr" for kind in ("aovs", "rays"))
    if not rays.exists():
        return
    passes = {name.split(".")[-1]: data for path in (aovs, rays) for name, data in image.read_layers(path).items()}
    image.write_exr(folder / f"{n}.basecolor.exr", {"Combined": passes["basecolor"][..., :3]}, half=True)
    image.write_exr(folder / f"{n}.material.exr", {"Combined": passes["material"][..., :3]}, half=True)
    image.write_exr(folder / f"{n}.normal.exr", {"Combined": passes["Normal"]})
    depth = passes["Depth"][..., :1]
    image.write_exr(folder / f"{n}.depth.exr", {"Combined": np.where(depth < 1e9, depth, 0)})
    for path in (aovs, rays):
        path.unlink()


def find_blender(given: Path | None) -> list[str]:
    """The command that runs SCRIPT: Blender itself, or this Python where it has bpy."""
    if given is None and importlib.util.find_spec("bpy"):
        return [sys.executable, str(SCRIPT)]
    found = shutil.which(str(given or "blender"))
    if found is None:
        raise NearError("There is no Blender to render with.",
                        "Install the Python package bpy, or give --blender PATH.")
    return [found, "-b", "--factory-startup", "--python", str(SCRIPT), "--"]
