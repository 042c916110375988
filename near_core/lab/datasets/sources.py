"""The objects and maps of a data set to be rendered: found in folders, varied, or made from seeds."""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ... import files, mesh
from ...errors import NearError
from ...mesh import obj_ply
from . import procedural, variation
from .dataset import Dataset, read_models_csv

MAPS = (".hdr", ".exr")
LEFT_OUT = ("transmission", "glass", "blend", "emission", "alpha")  # what surfaces of an opaque material can't show


@dataclass(frozen=True)
class SourceModel:
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
        files.write(self.model, self._make(self.seed))

    def _make(self, seed: int) -> bytes:
        """The GLB; what was drawn for it, if anything, is written beside the model."""
        if self.original is None:
            return procedural.to_glb(procedural.make(seed))
        data = (procedural.to_glb(mesh.normalize(mesh.load(self.original))[0])
                if self.original.suffix.lower() == ".obj" else self.original.read_bytes())
        if self.redrawn:
            data, drawn = variation.redraw(data, seed)
            files.write(self.model.with_suffix(".json"), json.dumps(drawn, indent=1))
        if self.reshaped:
            with tempfile.TemporaryDirectory() as folder:
                plain = Path(folder) / "plain.glb"
                plain.write_bytes(data)
                data = procedural.to_glb(variation.reshape(mesh.load(plain), seed))
        return data


def find_maps(folder: Path, excluded: list[Dataset]) -> list[str]:
    """File names of a folder's maps, without those that the excluded sets test on. Raises NearError for none."""
    kept_out = set().union(*(data.excluded_hdris for data in excluded))
    names = sorted(p.name for p in folder.glob("*") if p.suffix.lower() in MAPS and p.name not in kept_out)
    if not names:
        raise NearError(f"{folder} holds no .hdr or .exr maps to light with.", "Choose another --hdris folder.")
    return names


def find_sources(args: argparse.Namespace, excluded: list[Dataset]) -> list[SourceModel]:
    """Every object of the set, in one shuffled order for all shards; those left out are counted on standard error.

    args: the options of render-dataset. excluded: sets whose objects and families are left out. Raises NearError where
    nothing is left.
    """
    found = _find_files(args, excluded) if args.models else []
    if args.limit is not None and len(found) > args.limit:
        found = sorted(random.Random(args.seed).sample(found, args.limit), key=lambda s: s.asset)
    for number in range(args.procedural):
        seed = args.seed * 1_000_000 + number
        found.append(SourceModel(f"proc_{seed:07d}", args.out / "models" / f"proc_{seed:07d}.glb",
                                 group=f"proc_{seed:07d}", category="procedural", seed=seed))
    if not found:
        raise NearError("There is nothing to render.",
                        "Give a folder of .glb or .obj files (--models) or --procedural N.")
    random.Random(args.seed).shuffle(found)  # so that a set cut short, or one shard of it, holds some of everything
    return found


def _find_files(args: argparse.Namespace, excluded: list[Dataset]) -> list[SourceModel]:
    rows = read_models_csv(args.models)
    groups = set().union(*(data.excluded_groups for data in excluded))
    names = set().union(*(data.assets for data in excluded))
    found: list[SourceModel] = []
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
                obj_ply.read_flags(path) if obj else variation.read_flags(path.read_bytes()))
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
            found.append(SourceModel(asset, args.out / "models" / f"{asset}.glb", group, category, path, seed,
                                     args.randomise_materials, args.reshape))
        else:
            found.append(SourceModel(name, path, group, category))
    for reason, count in left_out.items():
        print(f"{count} models left out: {reason}", file=sys.stderr)
    return found
