"""The command render: assets under a light become pictures."""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import image
from ..errors import NearError
from ..scene import PASSES, Instance, Settings, camera, environment
from .terminal import Reporter, add_model_arguments, parse_size, read_cameras, require_suffix

MAP_SIDE = 8192  # pixels; longer light maps are averaged down


class _AddAsset(argparse.Action):
    def __call__(self, parser, namespace, value, option=None):
        namespace.asset = [*(namespace.asset or []), (value, np.eye(4))]


class _AddMatrix(argparse.Action):
    def __call__(self, parser, namespace, values, option=None):
        if not namespace.asset:
            parser.error("--matrix belongs behind the --asset that it moves")
        namespace.asset[-1] = (namespace.asset[-1][0], np.array(values, np.float64).reshape(4, 4))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--asset", type=Path, action=_AddAsset, required=True, help=".near file; may be given again")
    parser.add_argument("--matrix", type=float, nargs=16, action=_AddMatrix, metavar="m",
                        help="rows of the asset-to-world matrix of the asset before it; default: a cube of edge 1")
    parser.add_argument("--env", required=True, help="light: .exr or .hdr panorama, or a uniform radiance R,G,B")
    parser.add_argument("--env-rotation", type=float, default=0.0, help="degrees, as Blender's Mapping Z")
    parser.add_argument("--env-strength", type=float, default=1.0)
    parser.add_argument("--background", action="store_true", help="draw the light behind the assets")
    parser.add_argument("--camera", type=Path, help="JSON as in docs/formats.md")
    parser.add_argument("--frames", type=Path, help="JSON list of cameras, a picture each; --camera fills in the rest")
    parser.add_argument("--azimuth", type=float, default=0.0, help="degrees, 0 shows the front, 90 the side at +X")
    parser.add_argument("--elevation", type=float, default=15.0, help="degrees")
    parser.add_argument("--distance", type=float, default=2.0, help="metres from the origin")
    parser.add_argument("--fov", type=float, default=40.0, help="degrees, full horizontal angle")
    parser.add_argument("--size", type=parse_size, help="WxH pixels; default: the camera file's, else 512x512")
    parser.add_argument("--out", type=Path, required=True, help=".exr (linear) or .png (sRGB); frames are numbered")
    parser.add_argument("--passes", default="Combined", help=f"all, or names separated by commas: {', '.join(PASSES)}")
    parser.add_argument("--quality", choices=("draft", "final"), default="final")
    parser.add_argument("--shading", choices=("auto", "transport", "split-sum"), default="auto")
    add_model_arguments(parser, "for the assets made for it; default: the embedded model draws everything")
    parser.add_argument("--threads", type=int, default=0, help="0 = all")


def run(args: argparse.Namespace) -> int:
    """Assets under a light become pictures."""
    from .. import asset
    from ..engine import Engine

    passes = _passes(args)
    frames = read_cameras(args.camera, args.frames, args.size) if args.camera or args.frames else [_orbit(args)]
    light = _environment(args)
    instances = [Instance(asset.load(path), matrix) for path, matrix in args.asset]
    settings = Settings(quality=args.quality, shading=args.shading, background=args.background, passes=passes,
                        threads=args.threads)
    renderer = Engine(args.model, args.device, args.precision)
    for number, view in enumerate(frames, 1):
        out = args.out.with_stem(f"{args.out.stem}_{number:04d}") if args.frames else args.out
        report, start = Reporter(f"{number}/{len(frames)} " if args.frames else ""), time.monotonic()
        picture = renderer.render(instances, view, light, settings, report)
        if out.suffix.lower() == ".png":
            image.write_png(out, picture["Combined"])
        else:
            image.write_exr(out, picture)
        for note in renderer.notes:
            report.close(note)
        report.close(f"{out}: {view.width} x {view.height}, {time.monotonic() - start:.2f} s")
    return 0


def _passes(args: argparse.Namespace) -> tuple[str, ...]:
    names = tuple(PASSES) if args.passes == "all" else tuple(name.strip() for name in args.passes.split(","))
    unknown = [name for name in names if name not in PASSES]
    if unknown:
        raise NearError(f"There is no pass {unknown[0]!r}.", f"Choose from {', '.join(PASSES)}, or all.")
    require_suffix(args.out, ".exr", ".png")
    if args.out.suffix.lower() == ".png" and names != ("Combined",):
        raise NearError("A .png holds the Combined pass only.", "Write an .exr.")
    return names


def _orbit(args: argparse.Namespace) -> camera.Camera:
    if not 0 < args.fov < 180 or not args.distance > 0:
        raise NearError("--fov must lie between 0 and 180 degrees and --distance above 0.", "Correct them.")
    return camera.orbit(args.azimuth, args.elevation, args.distance, args.fov, *(args.size or (512, 512)))


def _environment(args: argparse.Namespace) -> environment.Environment:
    if not np.isfinite([args.env_rotation, args.env_strength]).all() or args.env_strength < 0:
        raise NearError("--env-rotation and --env-strength must be finite, the strength not negative.", "Correct them.")
    if re.fullmatch(r"[-+.\deE, ]+", args.env):
        try:
            color = [float(word) for word in args.env.split(",")]
        except ValueError:
            color = []
        if len(color) != 3 or not np.isfinite(color).all() or min(color) < 0:
            raise NearError(f"{args.env!r} is not a colour.", "Give three numbers, e.g. --env 1,1,1.")
        return replace(environment.uniform(tuple(color)), strength=args.env_strength)
    path = Path(args.env)
    light = environment.sanitized(image.read(path, max_side=MAP_SIDE), path.name)
    return environment.Environment(light, environment.turn_z(args.env_rotation), args.env_strength)
