"""The command create: photos, a mesh or both become a .near file."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ..errors import NearError
from .terminal import Reporter, add_model_arguments, read_cameras, require_suffix


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core create`."""
    parser.usage = f"{parser.prog} [--image PHOTO ...] [--mesh MESH] [options] --out ASSET"
    parser.add_argument("--out", type=Path, required=True, metavar="ASSET", help="the .near file to write")
    parser.add_argument("--name", help="what the asset is called; default: the first file's name without its ending")
    what = parser.add_argument_group(
        "what it is made of", "Photos, a mesh, or a mesh for the shape and photos for the material.")
    what.add_argument("--image", type=Path, action="append", default=[], metavar="PHOTO",
                      help="a photo of the object; given again, further photos from evenly spaced sides, "
                           "counterclockwise from above; default: none, the mesh has its own material")
    what.add_argument("--mask", type=Path, metavar="PICTURE",
                      help="white where the first photo shows the object; default: the photo's alpha channel, and "
                           "where it has none the object is found")
    what.add_argument("--matting", choices=("near", "rembg"), default="near",
                      help="what finds it: near, our own network (default), or rembg, the Python package of that name, "
                           "where it is installed with a model")
    what.add_argument("--mesh", type=Path,
                      help="the object's shape, a .glb, .gltf, .obj or .ply file; default: none, the photos tell it")
    what.add_argument("--seed", type=int, default=0, metavar="N",
                      help="a whole number; another one gives another guess of what the photos hide; default: 0")
    pose = parser.add_argument_group("where the first photo was taken from", "Degrees, or a file that says it all.")
    pose.add_argument("--azimuth", type=float, metavar="DEGREES",
                      help="0 looks at the front, 90 at the side at +X; default: 0")
    pose.add_argument("--elevation", type=_parse_angle, metavar="DEGREES",
                      help="above the horizon, or auto: estimated from what the photo shows; default: 15")
    pose.add_argument("--fov", type=_parse_angle, metavar="DEGREES",
                      help="the horizontal angle that the whole photo covers, or auto: what its file says of the lens; "
                           "default: 40")
    pose.add_argument("--camera", type=Path, metavar="JSON",
                      help="the camera as docs/formats.md describes it, in place of the three angles; default: none")
    model = add_model_arguments(parser, "makes an asset of the photos; default: near-mini, which comes with NeAR")
    model.add_argument("--beside", type=Path, action="append", default=[], metavar="FOLDER",
                       help="a folder with what --model lacks, its image encoder or structure networks; may be given "
                            "again; default: none")


def _parse_angle(text: str) -> float | str:
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor auto") from None


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
