"""The command create: photos, a mesh or both become a .near file."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from .. import image
from ..create.config import DETAILS
from ..create.hints import Hints, box_of_pixels
from ..create.matting import MATTINGS
from ..create.photo import ELEVATION, FOV
from ..create.shot import ORTHOGRAPHIC, VIEWS, Shot, find_view
from ..create.thickness import HINTS, SYMMETRIES
from ..errors import NearError
from . import folder
from .terminal import Reporter, add_model_arguments, read_cameras, require_suffix


class _PhotoOption(argparse.Action):
    """An option that belongs to the --image before it, or to the first one where it comes before all."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value, option=None) -> None:
        photos = [dict(photo) for photo in namespace.image or [{}]]
        if self.dest == "image":
            if "image" in photos[-1]:
                photos.append({})
        elif self.dest in photos[-1]:
            raise NearError(f"{option} is given twice for one photo.",
                            f"Give every --image its own {option}, after it.")
        photos[-1][self.dest] = value
        namespace.image = photos


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core create`."""
    parser.usage = f"{parser.prog} [--image PHOTO [--view VIEW] ...] [--mesh MESH] [options] --out ASSET\n" \
                   f"       {parser.prog} --folder FOLDER [options] --out FOLDER"
    parser.add_argument("--out", type=Path, required=True, metavar="ASSET",
                        help="the .near file to write; of --folder the folder, which is made where there is none")
    parser.add_argument("--name", help="what the asset is called; default: the first file's name without its ending")
    what = parser.add_argument_group(
        "what it is made of", "Photos, a mesh, or a mesh for the shape and photos for the material.")
    what.add_argument("--image", type=Path, action=_PhotoOption, metavar="PHOTO",
                      help="a photo of the object; given again, further photos of it: what follows an --image belongs "
                           "to it; default: none, the mesh has its own material")
    what.add_argument("--folder", type=Path,
                      help="in place of both: one asset of every photo in this folder, what fails is left out; "
                           "default: none")
    what.add_argument("--matting", choices=MATTINGS, default=MATTINGS[0],
                      help="what finds the object in a photo without mask and alpha: near, our own network (default), "
                           "or isnet, a larger one, where the extension NeAR Matte is installed")
    _add_shape(what)
    _add_guesses(what)
    photo = parser.add_argument_group("of the photo before it", "Where the object is, and where it was taken from.")
    _add_places(photo)
    _add_angles(photo)
    model = add_model_arguments(parser, "makes an asset of the photos; default: near-mini, which comes with NeAR")
    model.add_argument("--beside", type=Path, action="append", default=[], metavar="FOLDER",
                       help="a folder with what --model lacks, its image encoder or structure networks; may be given "
                            "again; default: none")


def _add_shape(what: argparse._ArgumentGroup) -> None:
    """The options of a mesh."""
    what.add_argument("--mesh", type=Path,
                      help="the object's shape, a .glb, .gltf, .obj or .ply file; from where the photo shows it is "
                           "found; default: none, the photos tell it")
    what.add_argument("--show-pose", type=Path, metavar="PNG",
                      help="of a photo and a mesh: write the mesh's lines over the photo, where it was found; "
                           "default: not")


def _add_places(photo: argparse._ArgumentGroup) -> None:
    """The options that say where the object is in a photo."""
    photo.add_argument("--mask", type=Path, action=_PhotoOption, metavar="PICTURE",
                       help="white where the photo shows the object; default: the photo's alpha channel, and where it "
                            "has none the object is found")
    photo.add_argument("--box", type=float, nargs=4, action=_PhotoOption, metavar=("X0", "Y0", "X1", "Y1"),
                       help="where the object is to be found: left, top, right and bottom edge in pixels of the photo; "
                            "default: anywhere")
    photo.add_argument("--object", type=int, action=_PhotoOption, metavar="N",
                       help="which of several objects in the photo is meant, from 1; default: what stands out")


def _add_angles(photo: argparse._ArgumentGroup) -> None:
    """The options that say where a photo was taken from."""
    photo.add_argument("--view", choices=tuple(VIEWS), default="front", action=_PhotoOption,
                       help="the side that it shows, as Blender calls it; default: front, and of several photos as "
                            "--azimuth")
    photo.add_argument("--azimuth", type=float, action=_PhotoOption, metavar="DEGREES",
                       help="in place of --view: 0 looks at the front, 90 at the side at +X; default: 0, and "
                            "several photos evenly spaced, counterclockwise from above")
    photo.add_argument("--elevation", type=_parse_angle, action=_PhotoOption, metavar="DEGREES",
                       help="above the horizon, or auto: estimated from what the photo shows; default: 15, of "
                            "several photos auto, and 0 where it is orthographic and has a view")
    photo.add_argument("--fov", type=_parse_lens, action=_PhotoOption, metavar="DEGREES",
                       help="the horizontal angle that the whole photo covers, auto: what its file says of the "
                            "lens, or orthographic: it is a drawing or render without perspective; default: 40, and "
                            "of several photos auto")
    photo.add_argument("--camera", type=Path, action=_PhotoOption, metavar="JSON",
                       help="the camera, perspective or orthographic, as docs/formats.md describes it, in place of the "
                            "view and the three angles; default: none")


def _add_guesses(what: argparse._ArgumentGroup) -> None:
    """The options that say how to guess what photos hide."""
    what.add_argument("--thickness", choices=HINTS, default="auto",
                      help="how deep the object is: thin, as wings and sheets are, round, as its "
                           "outline is wide, full, as deep as the networks think, turned, the same from all around as "
                           "bottles are, or cup, turned and open on top; default: auto, part by part")
    what.add_argument("--symmetry", choices=SYMMETRIES, default="auto",
                      help="on, the object's left is the mirror image of its right, in shape too, so that a photo from "
                           "obliquely (--azimuth) shows both; off, nothing is taken from a mirror "
                           "image; default: auto, colours are where the other side is seen")
    what.add_argument("--refine", action="store_true",
                      help="change the colours of several photos until these come back; views in between become a "
                           "little worse where the shape is wrong; default: not")
    what.add_argument("--detail", choices=tuple(DETAILS), default="standard",
                      help="how much of a mesh that has its own material is kept: draft, surfels alone, 1 to 3 MB; "
                           "standard, its triangles and maps as well, 2 to 5 MB (default); closeup, more of them where "
                           "it has more, up to 8 MB")
    what.add_argument("--seed", type=int, default=0, metavar="N",
                      help="a whole number; another one gives another guess of what the photos hide; default: 0")


def run(args: argparse.Namespace) -> int:
    """Photos, a mesh or both become a `.near` file."""
    from .. import asset, mesh
    from ..create.create import Listener, create_from_mesh
    from ..engine import Engine

    if args.folder:
        return folder.run(args)
    require_suffix(args.out, ".near")
    photos = args.image or []
    if photos and "image" not in photos[0]:
        raise NearError(f"--{next(iter(photos[0]))} belongs to a photo, and there is none.", "Give --image, too.")
    sources = [*(photo["image"] for photo in photos), *([args.mesh] if args.mesh else [])]
    if not sources:
        raise NearError("There is nothing to create an asset from.", "Give --image, --mesh or both.")
    if args.model and not photos:
        raise NearError("A published model makes assets from photos.", "Give --image, too, or leave out --model.")
    if not photos:
        _refuse_guesses(args)
    if args.show_pose and not (photos and args.mesh):
        raise NearError("--show-pose draws a mesh over its photo.", "Give --image and --mesh, too.")
    shots = [take_shot(photo, alone=len(photos) == 1 and args.mesh is None) for photo in photos]
    report, start = Reporter(), time.monotonic()
    notes: list[str] = []
    shape = mesh.load(args.mesh, notes) if args.mesh else None
    options = {"name": args.name or sources[0].stem, "source": sources[0].name, "progress": report, "normalize": True}
    if shots:
        engine = Engine(args.model, args.device, args.precision, args.beside)
        made = engine.create_from_image(shots, matting=args.matting, seed=args.seed, thickness=args.thickness,
                                        refine=args.refine, symmetry=args.symmetry, mesh=shape,
                                        listener=Listener(pose=_show_pose(args.show_pose)), **options)
        notes += engine.notes
    else:
        made = create_from_mesh(shape, detail=args.detail, **options)
    for note in notes:
        report.close(note)
    asset.save(made, args.out)
    report.close(f"{args.out}: {len(made.coords)} voxels, {args.out.stat().st_size / 1e6:.1f} MB, "
                 f"{time.monotonic() - start:.1f} s")
    return 0


def _refuse_guesses(args: argparse.Namespace) -> None:
    """A mesh alone hides nothing that would be guessed."""
    usual = {"thickness": "auto", "symmetry": "auto", "refine": False, "seed": 0, "matting": MATTINGS[0], "beside": []}
    given = [name for name, value in usual.items() if getattr(args, name) != value]
    if given:
        raise NearError(f"--{given[0]} is about photos, and there is none.", "Give --image, too, or leave it out.")


def _show_pose(path: Path | None):
    """What writes the picture of a mesh over its photo; of several photos the last one's."""
    if path is None:
        return None
    require_suffix(path, ".png")
    return lambda picture: image.write_png(path, image.srgb_decode(picture.astype(np.float32) / 255))


def take_shot(photo: dict, alone: bool) -> Shot:
    """What the options of a photo say. alone: there is no other photo."""
    if os.path.isdir(photo["image"]):
        raise NearError(f"{photo['image']} is a folder.", "Name its photos, each with --image, or give --folder.")
    angles = {name: value for name, value in photo.items() if name in ("view", "azimuth", "elevation", "fov")}
    if "camera" in photo and angles:
        raise NearError(f"--camera already says where {photo['image'].name} was taken from.",
                        f"Leave out {', '.join('--' + name for name in angles)}.")
    if {"view", "azimuth"} <= set(angles):
        raise NearError(f"Both --view and --azimuth say which side {photo['image'].name} shows.", "Leave out one.")
    usual = {"azimuth": 0.0, "elevation": ELEVATION, "fov": FOV} if alone else {}
    side = find_view(angles.pop("view"), angles.get("fov") == ORTHOGRAPHIC) if "view" in angles else {}
    told = {name: None if angle == "auto" else angle for name, angle in (usual | side | angles).items()}
    if "camera" in photo:
        told = {"camera": read_cameras(photo["camera"], None, None)[0]}
    return Shot(photo["image"], photo.get("mask"), hints=_take_hints(photo), **told)


def _take_hints(photo: dict) -> Hints | None:
    """What the options of a photo say of where the object is."""
    given = {"box", "object"} & set(photo)
    if not given:
        return None
    if "mask" in photo:
        raise NearError(f"--mask already says what is object in {photo['image'].name}.",
                        f"Leave out {' and '.join('--' + name for name in sorted(given))}.")
    if photo.get("object", 1) < 1:
        raise NearError(f"There is no object {photo['object']}.", "Count from 1.")
    height, width = image.read(photo["image"], linear=False).shape[:2]
    box = box_of_pixels(photo["box"], width, height) if "box" in photo else None
    return Hints(box, number=photo.get("object", 0))


def _parse_angle(text: str) -> float | str:
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor auto") from None


def _parse_lens(text: str) -> float | str:
    try:
        return ORTHOGRAPHIC if text == "orthographic" else _parse_angle(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number, auto nor orthographic") from None
