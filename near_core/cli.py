"""The command line, `python -m near_core <command>`: a failure is one line on standard error and exit status 2."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import runpy
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import __version__, camera, environment, image
from .errors import Cancelled, NearError
from .scene import PASSES, Instance, Settings

FAILED, INTERRUPTED = 2, 130
MAP_SIDE = 8192  # pixels; longer light maps are averaged down

# commands that live in modules of their own, each with add_arguments(parser) and run(args) -> exit status
MODULES = {"evaluate": "evaluate", "verify-reference": "reference", "render-dataset": "render_dataset",
           "bench": "bench"}
HELP = {
    "create": "make a neural asset from photos, a mesh or both",
    "render": "draw assets under a light, seen by a camera",
    "evaluate": "measure pictures of a data set against their truth",
    "verify-reference": "compare the published networks with recorded fixtures",
    "info": "say what this installation, or an asset file, is made of",
    "render-dataset": "render training pictures with Cycles",
    "train": "train the networks of near-mini",
    "bench": "measure speed and memory",
}


class Parser(argparse.ArgumentParser):
    """Complains in one line and takes numbers such as -1e-3 for numbers, not for options."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._negative_number_matcher = re.compile(r"^-(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$", re.I)

    def error(self, message: str):
        raise NearError(f"{message[:1].upper()}{message[1:]}.", f"See `{self.prog} --help`.")


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if not argv or argv[0] not in HELP:
            return _overview(argv)
        if argv[0] == "train":
            return train(argv[1:])
        add_arguments, run = _command(argv[0])
        parser = Parser(prog=f"near_core {argv[0]}", description=HELP[argv[0]].capitalize() + ".")
        add_arguments(parser)
        return run(parser.parse_args(argv[1:]))
    except NearError as error:
        print(f"near_core: {error}", file=sys.stderr)
        return FAILED
    except (KeyboardInterrupt, Cancelled):
        print("near_core: stopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    except MemoryError:
        print("near_core: The computer ran out of memory. Close other programs or ask for less.", file=sys.stderr)
        return FAILED
    except Exception as error:
        if os.environ.get("NEAR_DEBUG"):
            raise
        print(f"near_core: {type(error).__name__}: {' '.join(str(error).split())}. This is a fault of NeAR: "
              "set NEAR_DEBUG=1 to see where, and report it.", file=sys.stderr)
        return FAILED


def _overview(argv: list[str]) -> int:
    parser = Parser(prog="near_core", formatter_class=argparse.RawDescriptionHelpFormatter, usage="near_core command …",
                    description="\n".join(f"  {name:<18}{text}" for name, text in HELP.items()),
                    epilog="`near_core command --help` lists a command's options.")
    parser.add_argument("--version", action="version", version=f"NeAR {__version__}")
    if argv and not argv[0].startswith("-"):
        raise NearError(f"There is no command {argv[0]!r}.", f"Choose one of {', '.join(HELP)}.")
    parser.parse_args(argv)
    parser.print_help()
    return 0


def _command(name: str) -> tuple[Callable, Callable]:
    if name not in MODULES:
        return {"create": (_create_arguments, create), "render": (_render_arguments, render),
                "info": (_info_arguments, info)}[name]
    with _packages(name):
        module = importlib.import_module(f".{MODULES[name]}", __package__)
    return module.add_arguments, module.run


@contextmanager
def _packages(name: str):
    """Says which Python package a developers' command lacks."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith(__package__):
            raise NearError(f"`{name}` is not part of this installation.", "Run it in a checkout.") from error
        raise NearError(f"`{name}` needs the Python package {error.name}.",
                        "Run it with the environment that build.py makes.") from error


def train(argv: list[str]) -> int:
    """Runs one stage of the training, each a module of `training` with options of its own."""
    folder = Path(__file__).parent / "training"
    stages = sorted(path.stem for path in folder.glob("*.py") if "__main__" in path.read_text())
    if not argv or argv[0] not in stages:
        if argv and argv[0] in ("-h", "--help"):
            print(f"usage: near_core train stage …\n\n{HELP['train'].capitalize()}. Stages: {', '.join(stages)}.")
            return 0
        raise NearError(f"train needs a stage, one of {', '.join(stages) or 'none here'}.",
                        "See docs/training.md and `near_core train stage --help`.")
    sys.argv = [f"near_core train {argv[0]}", *argv[1:]]
    with _packages("train"):
        try:
            runpy.run_module(f"{__package__}.training.{argv[0]}", run_name="__main__")
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0


class Reporter:
    """Progress on standard error: one line that changes in a terminal, a line per phase elsewhere."""

    def __init__(self, prefix: str = ""):
        self.prefix, self.phase, self.live = prefix, "", sys.stderr.isatty()

    def __call__(self, phase: str, fraction: float) -> None:
        if self.live:
            print(f"\r{self.prefix}{phase}: {100 * fraction:3.0f} %\033[K", end="", file=sys.stderr, flush=True)
        elif phase != self.phase:
            print(f"{self.prefix}{phase}", file=sys.stderr, flush=True)
        self.phase = phase

    def close(self, text: str) -> None:
        text = self.prefix + text
        print(f"\r{text}\033[K" if self.live else text, file=sys.stderr)


# --- create

def _create_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", type=Path, action="append", default=[],
                        help="photo; more show the object from evenly spaced sides, counterclockwise from above")
    parser.add_argument("--mask", type=Path, help="picture, white where the first photo shows the object; "
                                                  "default: the photo's alpha, or the background is found")
    parser.add_argument("--matting", choices=("near", "rembg"), default="near",
                        help="what finds the object where neither mask nor alpha does: our own network, or the Python "
                             "package rembg, where it is installed with a model")
    parser.add_argument("--mesh", type=Path, help="shape: .glb, .gltf, .obj or .ply; without photos also the material")
    parser.add_argument("--camera", type=Path, help="the first photo's camera: JSON as in docs/formats.md")
    parser.add_argument("--fov", type=_angle, help="degrees, full horizontal angle of the photo, or auto: what its file "
                                                   "says of the lens; default 40")
    parser.add_argument("--azimuth", type=float, help="degrees, 0 shows the front, 90 the side at +X; default 0")
    parser.add_argument("--elevation", type=_angle, help="degrees above the horizon, or auto: by the photo's look; "
                                                         "default 15")
    parser.add_argument("--seed", type=int, default=0, help="another one gives another guess of what the photo hides")
    _model_arguments(parser, "what photos become an asset of; default: the embedded model")
    parser.add_argument("--beside", type=Path, action="append", default=[], metavar="FOLDER",
                        help="where --model's image encoder or structure networks lie; may be given again")
    parser.add_argument("--name", help="default: the name of the first file")
    parser.add_argument("--out", type=Path, required=True, help="the asset: .near")


def _angle(text: str) -> float | str:
    return text if text == "auto" else float(text)


def _model_arguments(parser: argparse.ArgumentParser, use: str) -> None:
    parser.add_argument("--model", type=Path, metavar="FOLDER", help=f"a published checkpoint, {use}")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where --model runs")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16", "float16"), default="auto",
                        help="of --model; auto is half precision on a GPU, float32 on the processor")


def create(args: argparse.Namespace) -> int:
    """Photos, a mesh or both become a `.near` file."""
    from . import asset, mesh
    from .create import create_from_mesh
    from .engine import Engine

    _require_suffix(args.out, ".near")
    sources = [*args.image, *([args.mesh] if args.mesh else [])]
    if not sources:
        raise NearError("There is nothing to create an asset from.", "Give --image, --mesh or both.")
    if args.model and not args.image:
        raise NearError("A published model makes assets from photos.", "Give --image, too, or leave out --model.")
    pose = _pose(args)
    report, start = Reporter(), time.monotonic()
    shape = mesh.load(args.mesh) if args.mesh else None
    options = {"name": args.name or sources[0].stem, "source": sources[0].name, "progress": report, "normalize": True}
    if args.image:
        engine = Engine(args.model, args.device, args.precision, args.beside)
        made = engine.create_from_image(args.image, mask=args.mask, matting=args.matting, seed=args.seed, mesh=shape,
                                        **pose, **options)
    else:
        made = create_from_mesh(shape, **options)
    asset.save(made, args.out)
    report.close(f"{args.out}: {len(made.coords)} voxels, {args.out.stat().st_size / 1e6:.1f} MB, "
                 f"{time.monotonic() - start:.1f} s")
    return 0


def _pose(args: argparse.Namespace) -> dict:
    """What is known about the first photo's camera, as keywords of create_from_image."""
    angles = {name: getattr(args, name) for name in ("fov", "azimuth", "elevation") if getattr(args, name) is not None}
    if not args.camera:
        return {name: None if angle == "auto" else angle for name, angle in angles.items()}
    if angles:
        raise NearError("--camera already says where the photo was taken from.",
                        "Leave out --fov, --azimuth, --elevation.")
    return {"camera": _cameras(args.camera, None, None)[0]}


# --- render

class _AddAsset(argparse.Action):
    def __call__(self, parser, namespace, value, option=None):
        namespace.asset = [*(namespace.asset or []), (value, np.eye(4))]


class _AddMatrix(argparse.Action):
    def __call__(self, parser, namespace, values, option=None):
        if not namespace.asset:
            parser.error("--matrix belongs behind the --asset that it moves")
        namespace.asset[-1] = (namespace.asset[-1][0], np.array(values, np.float64).reshape(4, 4))


def _render_arguments(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument("--size", type=_size, help="WxH pixels; default: the camera file's, else 512x512")
    parser.add_argument("--out", type=Path, required=True, help=".exr (linear) or .png (sRGB); frames are numbered")
    parser.add_argument("--passes", default="Combined", help=f"all, or names separated by commas: {', '.join(PASSES)}")
    parser.add_argument("--quality", choices=("draft", "final"), default="final")
    parser.add_argument("--shading", choices=("auto", "transport", "split-sum"), default="auto")
    _model_arguments(parser, "for the assets made for it; default: the embedded model draws everything")
    parser.add_argument("--threads", type=int, default=0, help="0 = all")


def render(args: argparse.Namespace) -> int:
    """Assets under a light become pictures."""
    from . import asset
    from .engine import Engine

    passes = _passes(args)
    frames = _cameras(args.camera, args.frames, args.size) if args.camera or args.frames else [_orbit(args)]
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
    _require_suffix(args.out, ".exr", ".png")
    if args.out.suffix.lower() == ".png" and names != ("Combined",):
        raise NearError("A .png holds the Combined pass only.", "Write an .exr.")
    return names


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if not match or not all(0 < int(n) <= 16384 for n in match.groups()):
        raise argparse.ArgumentTypeError(f"{text!r} is not WxH with 1 to 16384 pixels a side")
    return int(match[1]), int(match[2])


def _orbit(args: argparse.Namespace) -> camera.Camera:
    if not 0 < args.fov < 180 or not args.distance > 0:
        raise NearError("--fov must lie between 0 and 180 degrees and --distance above 0.", "Correct them.")
    return camera.orbit(args.azimuth, args.elevation, args.distance, args.fov, *(args.size or (512, 512)))


def _cameras(path: Path | None, frames: Path | None, size: tuple[int, int] | None) -> list[camera.Camera]:
    base = _json(path) if path else {}
    base = base.get("camera", base) if isinstance(base, dict) else base
    listed = _json(frames) if frames else [{}]
    if isinstance(listed, dict):
        listed = listed.get("frames")
    if not isinstance(base, dict) or not isinstance(listed, list) or not all(isinstance(f, dict) for f in listed):
        raise NearError(f"{(frames or path).name} does not describe cameras.", "Compare it with docs/formats.md.")
    if not listed:
        raise NearError(f"{frames.name} lists no cameras.", "Add one at least.")
    return [camera.from_json({**base, **frame.get("camera", frame)}, size) for frame in listed]


def _json(path: Path):
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise NearError(f"{path.name} could not be read ({error.strerror}).", "Check the path.") from error
    except ValueError as error:
        raise NearError(f"{path.name} is not valid JSON.", "Compare it with docs/formats.md.") from error


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


def _require_suffix(path: Path, *suffixes: str) -> None:
    if path.suffix.lower() not in suffixes:
        raise NearError(f"{path.name} does not end in {' or '.join(suffixes)}.", "Name the file so.")
    if not path.absolute().parent.is_dir():
        raise NearError(f"There is no folder {path.parent}.", "Make it first.")


# --- info

def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("asset", type=Path, nargs="?", help="a .near file; default: this installation")
    parser.add_argument("--json", action="store_true", help="for programs")


def info(args: argparse.Namespace) -> int:
    """Prints what an asset or the installation is made of."""
    facts = _asset_facts(args.asset) if args.asset else _installation_facts()
    if args.json:
        print(json.dumps(facts, indent=1))
    else:
        print("\n".join(f"{key.replace('_', ' '):<20}{value}" for key, value in facts.items()))
    return 0


def _asset_facts(path: Path) -> dict:
    from . import asset

    loaded = asset.load(path)
    return {"name": loaded.name, "source": loaded.source, "voxels": len(loaded.coords),
            "surfels": 0 if loaded.surfels is None else len(loaded.surfels), "latent_channels": loaded.slat.shape[1],
            "model": loaded.model, "model_hash": loaded.model_hash, "extent_m": loaded.extent, "hash": loaded.hash,
            "thumbnail": loaded.thumbnail is not None, "bytes": path.stat().st_size}


def _installation_facts() -> dict:
    from . import runtime
    from ._kernels import library
    from .worker import describe_runtime

    try:
        kernels = f"{library.this_platform()} {library.isa()}"
    except (library.KernelsMissing, ValueError) as error:
        kernels = str(error)
    model = runtime.NearMini()
    return {**describe_runtime(), "kernels": kernels, "cores": os.cpu_count(),
            "networks": ", ".join(model.graphs) or "none", "model_hash": model.digest}
