"""The verb render-dataset: plans pictures of models under maps and lets Cycles render them, in resumable shards."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from ... import files
from ...errors import NearError
from .cycles import Crew
from .dataset import Dataset
from .picture_plan import plan_pictures
from .sources import SourceModel, find_maps, find_sources

CONVENTIONS = (
    "Z up; camera looks along -Z, Y up (Blender); matrix_world is camera-to-world, rows. Equirect lookup of a "
    "direction (x,y,z): u=0.5-atan2(y,x)/(2 pi), v=0.5+asin(z)/pi, v from the bottom. hdri_rotation_deg=r: the world "
    "direction is rotated by +r about +Z before that lookup. Linear Rec.709, premultiplied alpha, world not visible.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core render-dataset`."""
    parser.add_argument("--models", type=Path,
                        help="folder of .glb files (with models.csv, if there is one) and, at any depth, .obj files")
    parser.add_argument("--hdris", type=Path, required=True, help="folder of equirectangular .hdr or .exr maps")
    parser.add_argument("--out", type=Path, required=True, help="the data set's folder; a second run goes on with it")
    parser.add_argument("--exclude", type=Path, action="append", default=[], metavar="META.JSON",
                        help="another set's meta.json: its exclude_groups, exclude_hdris and assets are left out; may "
                             "be given again; default: none")
    parser.add_argument("--procedural", type=int, default=0, metavar="N", help="also N procedural objects; default: 0")
    parser.add_argument("--randomise-materials", action="store_true",
                        help="render flat-coloured models with re-drawn materials instead of the models as they are")
    parser.add_argument("--reshape", action="store_true",
                        help="render models stretched, tapered, bent and twisted by chance, instead of as they are")
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many models, drawn at random; default: all")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="decides, with an object's name, everything that is drawn by chance; default: 0")
    parser.add_argument("--layout", choices=("training", "evaluation"), default="training",
                        help="training (default): pictures at random; evaluation: the six of docs/evaluation.md")
    parser.add_argument("--views", type=int, default=5, metavar="N", help="cameras of an object; default: 5")
    parser.add_argument("--lights", type=int, default=3, metavar="N", help="maps of a camera; default: 3")
    parser.add_argument("--uniform-light", action="store_true", help="one more picture per camera under uniform white")
    parser.add_argument("--gbuffer", action="store_true",
                        help="base colour, roughness, metallic, normal, depth of each camera")
    parser.add_argument("--size", type=int, default=128, metavar="N", help="of a picture, pixels a side; default: 128")
    parser.add_argument("--samples", type=int, default=16, metavar="N",
                        help="of Cycles in a pixel, before denoising; default: 16")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="only every N-th object, from I on; default: all")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes; default: 1")
    parser.add_argument("--threads", type=int, default=0, metavar="N",
                        help="of each process; default: 0, all cores shared out")
    parser.add_argument("--blender", type=Path, help="Blender's executable; else this Python's bpy, else one on PATH")


def run(args: argparse.Namespace) -> int:
    """Carries out `near_core render-dataset`. Returns the exit status, 1 when models failed; raises NearError."""
    excluded = [Dataset(path.parent) for path in args.exclude]
    hdris = find_maps(args.hdris, excluded)
    sources = find_sources(args, excluded)
    shard, shards = _parse_shard(args.shard)
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
        pictures = plan_pictures(args, source.asset, hdris)
        folder = args.out / "views" / source.asset
        missing = [p for p in pictures if not (folder / f"{p['n']}.json").exists()]
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            jobs.append({"asset": source.asset, "model": str(source.model.resolve()), "folder": str(folder.resolve()),
                         "pictures": missing})
        if number % 50 == 49:
            print(f"prepared {number + 1}/{len(mine)}", file=sys.stderr, flush=True)
    failed |= Crew(args, jobs).work()
    for asset, reason in sorted(failed.items()):
        print(f"{asset} was left out: {reason}", file=sys.stderr)
    return 1 if failed else 0


def _parse_shard(text: str) -> tuple[int, int]:
    try:
        index, count = (int(part) for part in text.split("/"))
    except ValueError:
        index, count = 0, 0
    if not 0 <= index < count:
        raise NearError(f"--shard {text} is no shard.", "Write it as 0/4, 1/4, 2/4, 3/4.")
    return index, count


def _write_meta(args: argparse.Namespace, sources: list[SourceModel], hdris: list[str],
                excluded: list[Dataset]) -> None:
    """meta.json of the set; refuses a folder that holds another set."""
    meta = {"version": 1, "name": args.out.name, "layout": args.layout, "resolution": args.size, "engine": "CYCLES",
            "samples": args.samples, "denoiser": "OpenImageDenoise", "normalised": True, "seed": args.seed,
            "models": _relate(args.models, args.out) if args.models else "models",
            "hdris": _relate(args.hdris, args.out), "views": args.views, "lights_per_view": args.lights,
            "uniform_light": args.uniform_light, "gbuffer": args.gbuffer, "assets": [s.asset for s in sources],
            "files": {s.asset: _relate(s.model, args.out) for s in sources}, "hdris_used": hdris,
            "unfinished": [s.asset for s in sources if s.unfinished],
            "categories": {s.asset: s.category for s in sources}, "groups": {s.asset: s.group for s in sources},
            "exclude_groups": sorted(set().union(*(d.excluded_groups for d in excluded))),
            "exclude_hdris": sorted(set().union(*(d.excluded_hdris for d in excluded))), "conventions": CONVENTIONS}
    path = args.out / "meta.json"
    if path.exists() and Dataset(args.out).meta != meta:
        raise NearError(f"{args.out} holds a data set made with other options.", "Choose another --out folder.")
    args.out.mkdir(parents=True, exist_ok=True)
    files.write(path, json.dumps(meta, indent=1))


def _relate(path: Path, start: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), start.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()
