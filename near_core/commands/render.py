"""The command render: assets under a light become pictures."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import image
from ..errors import NearError
from ..render import light_passes
from ..scene import PASSES, Instance, Settings, camera, environment
from ..scene.environment import BRIGHTEST
from ..scene.soundness import MOST_THREADS, is_sound
from .terminal import Reporter, add_model_arguments, parse_size, read_cameras, require_suffix

OFFERED = tuple(dict.fromkeys((*PASSES, *light_passes.OF_ASSETS)))
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
    """The options of `near_core render`."""
    parser.usage = f"{parser.prog} --asset ASSET [--matrix ...] [--asset ...] --env LIGHT [options] --out PICTURE"
    parser.add_argument("--out", type=Path, required=True, metavar="PICTURE",
                        help="the file to write: .exr (linear) or .png (8-bit sRGB, Combined only)")
    parser.add_argument("--passes", default="Combined", metavar="NAMES",
                        help=f"all, or names separated by commas of {', '.join(OFFERED)}; default: Combined")
    scene = parser.add_argument_group("what is seen")
    scene.add_argument("--asset", type=Path, action=_AddAsset, required=True, help="a .near file; may be given again")
    scene.add_argument("--matrix", type=float, nargs=16, action=_AddMatrix, metavar="M",
                       help="16 numbers, row by row: from the frame of the asset before it to the world, in metres; "
                            "default: the asset fills a cube of edge 1 m around the origin")
    light = parser.add_argument_group("the light")
    light.add_argument("--env", required=True, metavar="LIGHT",
                       help="an .exr or .hdr panorama, or a uniform linear radiance R,G,B")
    light.add_argument("--env-rotation", type=float, default=0.0, metavar="DEGREES",
                       help="the Z rotation of Blender's Mapping node; default: 0")
    light.add_argument("--env-strength", type=float, default=1.0, metavar="FACTOR",
                       help="multiplies the light; default: 1")
    light.add_argument("--background", action="store_true",
                       help="draw the light behind the assets; default: the background is transparent")
    view = parser.add_argument_group("the camera", "An orbit around the origin, or a file.")
    view.add_argument("--azimuth", type=float, default=0.0, metavar="DEGREES",
                      help="0 shows the front, 90 the side at +X; default: 0")
    view.add_argument("--elevation", type=float, default=15.0, metavar="DEGREES", help="above the horizon; default: 15")
    view.add_argument("--distance", type=float, default=2.0, metavar="METRES", help="from the origin; default: 2")
    view.add_argument("--fov", type=float, default=40.0, metavar="DEGREES",
                      help="the horizontal angle that the whole picture covers; default: 40")
    view.add_argument("--camera", type=Path, metavar="JSON",
                      help="the camera as docs/formats.md describes it, in place of the orbit; default: none")
    view.add_argument("--frames", type=Path, metavar="JSON",
                      help="a list of cameras; each gives a numbered picture, and --camera holds what all of them "
                           "share; default: one picture")
    view.add_argument("--size", type=parse_size, metavar="WxH",
                      help="of the picture in pixels; default: what the camera's file says, else 512x512")
    how = parser.add_argument_group("how it is computed")
    how.add_argument("--quality", choices=("draft", "final"), default="final",
                     help="draft: fewer rays, no detail surfels, one sample a pixel instead of four; default: final")
    how.add_argument("--shading", choices=("auto", "transport", "split-sum"), default="auto",
                     help="auto: the trained model where there is one (default); transport: light transport alone; "
                          "split-sum: prefiltered light without shadows")
    how.add_argument("--threads", type=int, default=0, metavar="N", help="processor threads; default: 0, all")
    add_model_arguments(parser, "draws the assets made for it; default: none, near-mini draws everything")


def run(args: argparse.Namespace) -> int:
    """Assets under a light become pictures."""
    from .. import asset
    from ..engine import Engine

    passes = _passes(args)
    if not 0 <= args.threads <= MOST_THREADS:
        raise NearError(f"--threads must lie between 0 and {MOST_THREADS}.", "Correct it, or leave it out.")
    frames = read_cameras(args.camera, args.frames, args.size) if args.camera or args.frames else [_orbit(args)]
    light = _environment(args)
    instances = [Instance(asset.load(path), matrix) for path, matrix in args.asset]
    settings = Settings(quality=args.quality, shading=args.shading, background=args.background,
                        passes=light_passes.complete(passes), threads=args.threads)
    _require_sound({"the light": light,
                    **{f"--matrix of {path.name}": each for (path, _), each in zip(args.asset, instances)},
                    **{f"camera {number}": each for number, each in enumerate(frames, 1)}})
    renderer = Engine(args.model, args.device, args.precision)
    for number, view in enumerate(frames, 1):
        out = args.out.with_stem(f"{args.out.stem}_{number:04d}") if args.frames else args.out
        report, start = Reporter(f"{number}/{len(frames)} " if args.frames else ""), time.monotonic()
        picture = renderer.render(instances, view, light, settings, report)
        light_passes.take_color(picture)
        picture = {name: picture[name] for name in passes}
        if out.suffix.lower() == ".png":
            image.write_png(out, picture["Combined"])
        else:
            image.write_exr(out, picture)
        for note in renderer.notes:
            report.close(note)
        report.close(f"{out}: {view.width} x {view.height}, {time.monotonic() - start:.2f} s")
    return 0


def _require_sound(parts: dict[str, Any]) -> None:
    """Raises NearError where a number cannot be drawn with, as the worker does of what Blender asks."""
    for name, part in parts.items():
        if not is_sound(part):
            raise NearError(f"Numbers of {name} are none, or too large or too small to draw with.", "Correct them.")


def _passes(args: argparse.Namespace) -> tuple[str, ...]:
    names = OFFERED if args.passes == "all" else tuple(name.strip() for name in args.passes.split(","))
    unknown = [name for name in names if name not in OFFERED]
    if unknown:
        raise NearError(f"There is no pass {unknown[0]!r}.", f"Choose from {', '.join(OFFERED)}, or all.")
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
        if len(color) != 3 or min(color) < 0:
            raise NearError(f"{args.env!r} is not a colour.", "Give three numbers from 0 on, e.g. --env 1,1,1.")
        if max(color) > BRIGHTEST:
            raise NearError(f"The light {args.env!r} is too bright.", f"Give numbers up to {BRIGHTEST:,.0f}.")
        light = environment.uniform(tuple(color))
    else:
        path = Path(args.env)
        if not path.suffix:
            raise NearError(f"{args.env!r} is neither a picture nor a colour.",
                            "Give an .exr or .hdr file, or three numbers from 0 on, e.g. --env 1,1,1.")
        light = environment.take_map(image.read(path, max_side=MAP_SIDE), path.name)
    return light.turn(environment.turn_z(args.env_rotation), light.strength * args.env_strength)
