"""The command create: photos, a mesh or both become a .near file."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ..errors import NearError
from .terminal import Reporter, add_model_arguments, read_cameras, require_suffix


def add_arguments(parser: argparse.ArgumentParser) -> None:
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
    add_model_arguments(parser, "what photos become an asset of; default: the embedded model")
    parser.add_argument("--beside", type=Path, action="append", default=[], metavar="FOLDER",
                        help="where --model's image encoder or structure networks lie; may be given again")
    parser.add_argument("--name", help="default: the name of the first file")
    parser.add_argument("--out", type=Path, required=True, help="the asset: .near")


def _angle(text: str) -> float | str:
    return text if text == "auto" else float(text)


def run(args: argparse.Namespace) -> int:
    """Photos, a mesh or both become a `.near` file."""
    from .. import asset, mesh
    from ..create.create import create_from_mesh
    from ..engine import Engine

    require_suffix(args.out, ".near")
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
    return {"camera": read_cameras(args.camera, None, None)[0]}
