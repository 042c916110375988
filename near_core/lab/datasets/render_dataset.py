"""The verb render-dataset: plans pictures of models under maps and lets Cycles render them, in resumable shards.

This module never imports bpy: each worker is a child process, Python with the bpy module or Blender itself, that runs
near_blender/dataset.py on a plan.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ... import files, image
from ... import mesh as meshes
from ...errors import NearError
from ...mesh import obj_ply as wavefront
from . import procedural, variation
from .dataset import Dataset, read_models_csv

MARK = "near "  # begins a line of SCRIPT that is a message
SCRIPT = Path(__file__).parents[3] / "near_blender" / "dataset.py"
MAPS = (".hdr", ".exr")
LEFT_OUT = ("transmission", "glass", "blend", "emission", "alpha")  # what surfaces of an opaque material can't show
CONVENTIONS = (
    "Z up; camera looks along -Z, Y up (Blender); matrix_world is camera-to-world, rows. Equirect lookup of a "
    "direction (x,y,z): u=0.5-atan2(y,x)/(2 pi), v=0.5+asin(z)/pi, v from the bottom. hdri_rotation_deg=r: the world "
    "direction is rotated by +r about +Z before that lookup. Linear Rec.709, premultiplied alpha, world not visible.")


@dataclass(frozen=True)
class Source:
    """One object to render: its name, its mesh file, and how to make that file where it is not there yet."""

    asset: str
    model: Path
    group: str = ""
    category: str = ""
    original: Path | None = None  # of a variation, or the .obj file that becomes a .glb
    seed: int | None = None  # of a procedural object or a variation
    redrawn: bool = False  # a variation has new materials
    reshaped: bool = False  # a variation has a new shape

    @property
    def unfinished(self) -> bool:
        """Whether how rough and metallic it is was made up from the highlights of an .mtl, which knows no metals."""
        return self.original is not None and self.original.suffix.lower() == ".obj" and not self.redrawn

    def prepare(self) -> None:
        """Writes the mesh file of a procedural object, a variation or an .obj, whole or not at all."""
        if self.model.exists() or self.seed is None:
            return
        self.model.parent.mkdir(parents=True, exist_ok=True)
        part = self.model.with_suffix(".part.glb")
        if self.original is None:
            part.write_bytes(procedural.to_glb(procedural.make(self.seed)))
        else:
            data = (procedural.to_glb(meshes.normalized(meshes.load(self.original))[0])
                    if self.original.suffix.lower() == ".obj" else self.original.read_bytes())
            if self.redrawn:
                data, drawn = variation.redraw(data, self.seed)
                self.model.with_suffix(".json").write_text(json.dumps(drawn, indent=1))
            part.write_bytes(data)
            if self.reshaped:
                part.write_bytes(procedural.to_glb(variation.reshape(meshes.load(part), self.seed)))
        part.replace(self.model)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core render-dataset`."""
    parser.add_argument("--models", type=Path,
                        help="folder of .glb files (with models.csv, if there is one) and, at any depth, .obj files")
    parser.add_argument("--hdris", type=Path, required=True, help="folder of equirectangular .hdr or .exr maps")
    parser.add_argument("--out", type=Path, required=True, help="the data set's folder; a second run goes on with it")
    parser.add_argument("--exclude", type=Path, action="append", default=[], metavar="META.JSON",
                        help="another set's meta.json: its exclude_groups, exclude_hdris and assets are left out")
    parser.add_argument("--procedural", type=int, default=0, metavar="N", help="also N procedural objects")
    parser.add_argument("--randomise-materials", action="store_true",
                        help="render flat-coloured models with re-drawn materials instead of the models as they are")
    parser.add_argument("--reshape", action="store_true",
                        help="render models stretched, tapered, bent and twisted by chance, instead of as they are")
    parser.add_argument("--limit", type=int, help="at most so many models, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layout", choices=("training", "evaluation"), default="training",
                        help="evaluation: the six pictures of docs/evaluation.md")
    parser.add_argument("--views", type=int, default=5, help="cameras per object")
    parser.add_argument("--lights", type=int, default=3, help="maps per camera")
    parser.add_argument("--uniform-light", action="store_true", help="one more picture per camera under uniform white")
    parser.add_argument("--gbuffer", action="store_true",
                        help="base colour, roughness, metallic, normal, depth of each camera")
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--samples", type=int, default=16, help="Cycles samples before denoising")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="only every N-th object, starting with I")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--threads", type=int, default=0, help="per worker; 0 = all cores shared out")
    parser.add_argument("--blender", type=Path, help="Blender's executable; else this Python's bpy, else one on PATH")


def run(args: argparse.Namespace) -> int:
    """Carries out `near_core render-dataset`. Returns the exit status, 1 when models failed; raises NearError."""
    excluded = [Dataset(path.parent) for path in args.exclude]
    hdris = _maps(args.hdris, excluded)
    sources = _sources(args, excluded)
    shard, shards = _shard(args.shard)
    _write_meta(args, sources, hdris, excluded)
    mine = sources[shard::shards]
    print(f"{len(mine)} objects, {len(hdris)} maps", file=sys.stderr)
    jobs, failed = [], {}
    for number, source in enumerate(mine):
        try:
            source.prepare()
        except NearError as error:
            failed[source.asset] = error.what
            continue
        pictures = layout(args, source.asset, hdris)
        folder = args.out / "views" / source.asset
        missing = [p for p in pictures if not (folder / f"{p['n']}.json").exists()]
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            jobs.append({"asset": source.asset, "model": str(source.model.resolve()), "folder": str(folder.resolve()),
                         "pictures": missing})
        if number % 50 == 49:
            print(f"prepared {number + 1}/{len(mine)}", file=sys.stderr, flush=True)
    failed |= _Crew(args, jobs).work()
    for asset, reason in sorted(failed.items()):
        print(f"{asset} was left out: {reason}", file=sys.stderr)
    return 1 if failed else 0


# --- what to render

def layout(args: argparse.Namespace, asset: str, hdris: list[str]) -> list[dict]:
    """The pictures of one object; they depend on the seed and the object's name alone, so shards and repeats agree."""
    chance = random.Random(f"{args.seed} {asset}")
    return _evaluation_layout(chance, hdris) if args.layout == "evaluation" else _training_layout(args, chance, hdris)


def _training_layout(args: argparse.Namespace, chance: random.Random, hdris: list[str]) -> list[dict]:
    pictures: list[dict] = []
    for view in range(args.views):
        role = "front" if view == 0 else "close" if view % 4 == 3 else "orbit"
        camera = _camera(chance, role)
        maps = chance.sample(hdris, min(args.lights, len(hdris)))
        lights = [(name, round(chance.uniform(0, 360), 3)) for name in maps] + [(None, 0.0)] * args.uniform_light
        for light, (name, rotation) in enumerate(lights):
            gbuffer = args.gbuffer and light == 0
            pictures.append(_picture(len(pictures), view, light, role, camera, name, rotation, gbuffer))
    return pictures


def _evaluation_layout(chance: random.Random, hdris: list[str]) -> list[dict]:
    if len(hdris) < 4:
        raise NearError("An evaluation set needs four maps.", "Add .hdr files to the folder.")
    a, b, c, d = chance.sample(hdris, 4)
    turns = [round(chance.uniform(0, 360), 3) for _ in range(4)]
    front = _orbit(chance, (-60, 60), (5, 30), 1.0, 40.0)
    others = [_orbit(chance, (-180, 180), (-10, 55), 1.0, 40.0) for _ in range(3)]
    plan = [("input", 0, front, a, turns[0]), ("relight", 0, front, b, turns[1]), ("novel", 1, others[0], b, turns[1]),
            ("novel", 2, others[1], c, turns[2]), ("novel", 3, others[2], d, turns[3]),
            ("homogenised", 0, front, None, 0.0)]
    return [_picture(n, view, 0, role, camera, name, turn, n == 0)
            for n, (role, view, camera, name, turn) in enumerate(plan)]


def _picture(n, view, light, role, camera, hdri, rotation, gbuffer) -> dict:
    return {"n": n, "view": view, "light": light, "role": role, "camera": camera, "hdri": hdri,
            "uniform": 1.0 if hdri is None else None, "hdri_rotation_deg": rotation, "world_strength": 1.0,
            "gbuffer": gbuffer}


def _camera(chance: random.Random, role: str) -> dict:
    """A camera at random: half of them at 40 degrees, the others from 10 to 90 on a logarithmic scale."""
    fov = 40.0 if chance.random() < 0.5 else math.exp(chance.uniform(math.log(10), math.log(90)))
    if role == "front":
        return _orbit(chance, (-60, 60), (5, 30), chance.uniform(1.0, 1.2), 40.0)
    if role == "orbit":
        return _orbit(chance, (-180, 180), (-20, 70), chance.uniform(1.0, 1.6), fov)
    close = _orbit(chance, (-180, 180), (-20, 60), 1.0, min(fov, 60.0))
    width = chance.uniform(0.35, 0.9)  # what the picture shows across, in radii of the bounding sphere
    return close | {"kind": "close", "distance": width / (2 * math.tan(math.radians(close["fov"]) / 2))}


def _orbit(chance: random.Random, azimuth: tuple, elevation: tuple, distance: float, fov: float) -> dict:
    low, high = (math.sin(math.radians(e)) for e in elevation)  # even over the sphere
    return {"kind": "orbit", "azimuth": chance.uniform(*azimuth), "distance": distance, "fov": fov,
            "elevation": math.degrees(math.asin(chance.uniform(low, high))), "seed": chance.randrange(2**31)}


def _maps(folder: Path, excluded: list[Dataset]) -> list[str]:
    kept_out = set().union(*(data.excluded_hdris for data in excluded))
    names = sorted(p.name for p in folder.glob("*") if p.suffix.lower() in MAPS and p.name not in kept_out)
    if not names:
        raise NearError(f"{folder} holds no .hdr or .exr maps to light with.", "Choose another --hdris folder.")
    return names


def _sources(args: argparse.Namespace, excluded: list[Dataset]) -> list[Source]:
    """Every object of the set, in one shuffled order for all shards."""
    found = _model_sources(args, excluded) if args.models else []
    if args.limit is not None and len(found) > args.limit:
        found = sorted(random.Random(args.seed).sample(found, args.limit), key=lambda s: s.asset)
    for number in range(args.procedural):
        seed = args.seed * 1_000_000 + number
        found.append(Source(f"proc_{seed:07d}", args.out / "models" / f"proc_{seed:07d}.glb",
                            group=f"proc_{seed:07d}", category="procedural", seed=seed))
    if not found:
        raise NearError("There is nothing to render.", "Give a folder of .glb or .obj files (--models) or --procedural N.")
    random.Random(args.seed).shuffle(found)  # so that a set cut short, or one shard of it, holds some of everything
    return found


def _model_sources(args: argparse.Namespace, excluded: list[Dataset]) -> list[Source]:
    rows = read_models_csv(args.models)
    groups = set().union(*(data.excluded_groups for data in excluded))
    names = set().union(*(data.assets for data in excluded))
    found: list[Source] = []
    taken: set[str] = set()
    left_out: dict[str, int] = {}
    paths = [p for kind in ("*.glb", "**/*.obj") for p in sorted(args.models.glob(kind))]
    for path in paths:
        obj = path.suffix.lower() == ".obj"
        # folders are often named like their file
        name = "_".join(dict.fromkeys(path.relative_to(args.models).with_suffix("").parts)) if obj else path.stem
        row = rows.get(name, {})
        group, category = row.get("group", name), row.get("category", "")
        try:
            flags = set(row.get("flags", "").split()) | (
                wavefront.flags(path) if obj else variation.flags(path.read_bytes()))
        except NearError:
            flags = {"damaged"}
        reason = ("damaged" if "damaged" in flags else
                  "of the same name as another" if name in taken else
                  "part of an excluded set" if name in names or group in groups else
                  "transparent or glowing" if flags & set(LEFT_OUT) else
                  "with material maps of their own" if args.randomise_materials and "flat" not in flags else "")
        taken.add(name)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        elif args.randomise_materials or args.reshape or obj:
            kind = "r" * args.randomise_materials + "s" * args.reshape
            asset = f"{name}_{kind}{args.seed}" if kind else name
            seed = int(hashlib.sha256(f"{args.seed} {name}".encode()).hexdigest()[:8], 16)
            found.append(Source(asset, args.out / "models" / f"{asset}.glb", group, category, path, seed,
                                args.randomise_materials, args.reshape))
        else:
            found.append(Source(name, path, group, category))
    for reason, count in left_out.items():
        print(f"{count} models left out: {reason}", file=sys.stderr)
    return found


def _shard(text: str) -> tuple[int, int]:
    try:
        index, count = (int(part) for part in text.split("/"))
    except ValueError:
        index, count = 0, 0
    if not 0 <= index < count:
        raise NearError(f"--shard {text} is no shard.", "Write it as 0/4, 1/4, 2/4, 3/4.")
    return index, count


def _write_meta(args: argparse.Namespace, sources: list[Source], hdris: list[str], excluded: list[Dataset]) -> None:
    """meta.json and models.csv of the set; refuses a folder that holds another set."""
    meta = {"version": 1, "name": args.out.name, "layout": args.layout, "resolution": args.size, "engine": "CYCLES",
            "samples": args.samples, "denoiser": "OpenImageDenoise", "normalised": True, "seed": args.seed,
            "models": _relative(args.models, args.out) if args.models else "models",
            "hdris": _relative(args.hdris, args.out), "views": args.views, "lights_per_view": args.lights,
            "uniform_light": args.uniform_light, "gbuffer": args.gbuffer, "assets": [s.asset for s in sources],
            "files": {s.asset: _relative(s.model, args.out) for s in sources}, "hdris_used": hdris,
            "unfinished": [s.asset for s in sources if s.unfinished],
            "categories": {s.asset: s.category for s in sources}, "groups": {s.asset: s.group for s in sources},
            "exclude_groups": sorted(set().union(*(d.excluded_groups for d in excluded))),
            "exclude_hdris": sorted(set().union(*(d.excluded_hdris for d in excluded))), "conventions": CONVENTIONS}
    path = args.out / "meta.json"
    if path.exists() and Dataset(args.out).meta != meta:
        raise NearError(f"{args.out} holds a data set made with other options.", "Choose another --out folder.")
    args.out.mkdir(parents=True, exist_ok=True)
    files.write(path, json.dumps(meta, indent=1))


def _relative(path: Path, start: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), start.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


# --- who renders it

class _Crew:
    """The worker processes of one run and what they have done so far."""

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
        command = _blender(self.args.blender)
        count = max(1, min(self.args.workers, len(self.jobs)))
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda start: self._worker(command, self.jobs[start::count], count), range(count)))
        return self.failed

    def _worker(self, command: list[str], jobs: list[dict], count: int) -> None:
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


def _blender(given: Path | None) -> list[str]:
    """The command that runs SCRIPT: Blender itself, or this Python where it has bpy."""
    if given is None and importlib.util.find_spec("bpy"):
        return [sys.executable, str(SCRIPT)]
    found = shutil.which(str(given or "blender"))
    if found is None:
        raise NearError("There is no Blender to render with.",
                        "Install the Python package bpy, or give --blender PATH.")
    return [found, "-b", "--factory-startup", "--python", str(SCRIPT), "--"]
