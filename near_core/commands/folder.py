"""The command create --folder: every photo of a folder becomes a .near file of its own."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .. import image
from ..errors import NearError, to_line
from .terminal import FAILED, Reporter, answer, describe_failure, heed_stop

SOME_FAILED = 1  # exit status
# what belongs to one photo, or to a mesh
_OTHER = ("image", "mesh", "name", "refine", "show_pose")


@dataclass(frozen=True)
class Made:
    """What became of a photo: voxels, bytes of the file and seconds, or a problem instead."""

    photo: Path
    asset: Path
    voxels: int = 0
    size: int = 0
    seconds: float = 0.0
    problem: str = ""

    def list_cells(self) -> tuple[str, ...]:
        """Its line of the table."""
        if self.problem:
            return self.photo.name, "failed", "", "", "", self.problem
        return self.photo.name, self.asset.name, f"{self.voxels:,}", f"{self.size / 1e6:.1f}", f"{self.seconds:.1f}", ""


def run(args: argparse.Namespace) -> int:
    """Makes them one after the other; what fails is told and left out. 0 where all were made, SOME_FAILED where some
    were, FAILED where none was."""
    from .. import asset
    from ..create.photo import ELEVATION, FOV
    from ..create.shot import Shot
    from ..engine import Engine

    _refuse_others(args)
    photos = image.list_photos(args.folder)
    engine, made = Engine(args.model, args.device, args.precision, args.beside), []
    is_new = not os.path.exists(args.out)
    targets = name_targets(photos, _open_folder(args.out))

    def create(photo: Path, target: Path, report: Reporter) -> Made:
        start = time.monotonic()
        new = engine.create_from_image(
            [Shot(photo, azimuth=0.0, elevation=ELEVATION, fov=FOV)], report, matting=args.matting, seed=args.seed,
            thickness=args.thickness, symmetry=args.symmetry, name=photo.stem, source=photo.name, normalize=True)
        asset.save(new, target)
        return Made(photo, target, len(new.coords), target.stat().st_size, time.monotonic() - start)

    try:
        for number, (photo, target) in enumerate(zip(photos, targets), 1):
            report = Reporter(f"{number}/{len(photos)} {photo.name}: ")
            try:
                heed_stop()
                made.append(create(photo, target, report))
                report.close(" ".join([f"{target.name}, {made[-1].seconds:.1f} s.", *engine.notes]))
            except Exception as error:  # whatever it is, the other photos are made
                heed_stop()
                made.append(Made(photo, target, problem=describe_failure(error)))
                report.close(made[-1].problem)
    finally:  # Ctrl-C, too, tells what there is
        if is_new and all(each.problem for each in made):
            with contextlib.suppress(OSError):
                args.out.rmdir()
        answer(draw_table(made))
    failed = sum(bool(each.problem) for each in made)
    return 0 if not failed else FAILED if failed == len(made) else SOME_FAILED


def _refuse_others(args: argparse.Namespace) -> None:
    given = [name for name in _OTHER if getattr(args, name)]
    if given:
        name = next(iter(args.image[0])) if given[0] == "image" else given[0].replace("_", "-")
        raise NearError(f"--folder makes an asset of every photo, and --{name} belongs to one asset.",
                        "Leave it out, or create the assets one by one.")


def name_targets(photos: list[Path], folder: Path) -> list[Path]:
    """The file that each photo's asset is written to: called like the photo, with its kind where several would be
    called the same."""
    short, long = [photo.stem for photo in photos], [f"{photo.stem}_{photo.suffix[1:]}" for photo in photos]
    counts = Counter(name.lower() for name in [*short, *long])
    return [folder / f"{one if counts[one.lower()] == 1 else other}.near" for one, other in zip(short, long)]


def draw_table(made: list[Made]) -> str:
    """All of them, a line each, with a sum."""
    done = [each for each in made if not each.problem]
    rows = [["photo", "asset", "voxels", "MB", "seconds", ""],
            *([to_line(cell) for cell in each.list_cells()] for each in made)]
    widths = [max(map(len, column)) for column in list(zip(*rows))[:5]]
    lines = ["  ".join([*(cell.ljust(width) if place < 2 else cell.rjust(width)
                          for place, (cell, width) in enumerate(zip(row, widths))), row[5]]).rstrip() for row in rows]
    return "\n".join([*lines, f"{len(done)} of {len(made)} made in {sum(each.seconds for each in done):.0f} s."])


def _open_folder(out: Path) -> Path:
    """The folder to write to, made where there is none yet."""
    if out.suffix.lower() == ".near" or os.path.isfile(out):
        raise NearError(f"{out.name} is no folder, and --folder makes several files.", "Name a folder with --out.")
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise NearError(f"The folder {out} could not be made ({error.strerror}).", "Name another one.") from error
    return out
