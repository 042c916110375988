"""`import near`: neural assets from Python, in any Blender with the extension. docs/python.md has examples."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy

from ._core import errors
from ._core import shot as shots
from .asset import looks, payload, photo_options
from .operators import landing, place, transfer

NAME = "near"  # of the module that scripts import
__all__ = ["add", "add_sample", "create_from_mesh", "create_from_image", "create_from_photos",
           "create_from_folder", "list_assets", "set_look", "bake_mesh", "bake_splats"]
Photo = str | Path | dict[str, Any]  # a file, or what is known of one
_ops: Any = bpy.ops


def add(path: str | Path) -> bpy.types.Object:
    """The asset of a .near file as an object that stands at the 3D cursor. Raises NearError."""
    data, asset = transfer.read_asset(Path(path))
    ob = place.place_asset(bpy.context, asset, data)
    landing.line_up([ob], landing.find_point(bpy.context))
    return ob


def add_sample() -> bpy.types.Object:
    """The asset that comes with NeAR; it stands at the 3D cursor."""
    return add(transfer.SAMPLE)


def create_from_mesh(ob: bpy.types.Object, **options: Any) -> bpy.types.Object:
    """An asset of an object's surface; waits for it. options: of the operator near.create_asset_from_mesh."""
    return _run(_ops.near.create_asset_from_mesh, object_name=ob.name, **options)


def create_from_image(path: str | Path, **options: Any) -> bpy.types.Object:
    """An asset of the object in a photo; waits for it. options: of the operator near.create_asset_from_image."""
    return _run(_ops.near.create_asset_from_image, filepath=str(path), **options)


def create_from_photos(photos: Photo | Iterable[Photo], **options: Any) -> bpy.types.Object:
    """An asset of the object in several photos; waits for it. photos: files, the view taken from their names
    (chair_front.png), or what is known of each: path, or image, the name of one in the Blender file; view, "FRONT" to
    "BOTTOM", or "FIND"; or azimuth and elevation, radians; or camera, the name of one of the scene; fov, radians, or
    orthographic, True; mask. options: of the operator near.create_asset_from_photos."""
    given = [photos] if isinstance(photos, (str, Path, dict)) else photos
    rows = [_fill_row(photo if isinstance(photo, dict) else {"path": photo}) for photo in given]
    return _run(_ops.near.create_asset_from_photos, photos=rows, **options)


def _fill_row(known: dict[str, Any]) -> dict[str, Any]:
    """Every field of a photo, NEAR_PG_photo, as Blender wants them. Raises NearError for others."""
    properties: Any = photo_options.NEAR_PG_photo.bl_rna.properties
    fields = {field.identifier: field.default for field in properties if field.identifier != "rna_type"}
    unknown = [name for name in known if name not in fields]
    if unknown:
        raise errors.NearError("A photo has no {unknown}.", "Choose from {choices}.", unknown=unknown[0],
                               choices=", ".join(fields))
    told = known | {name: str(known[name]) for name in ("path", "image", "mask") if name in known}
    told |= {"reads_fov": False} if "fov" in known else {}
    guessed = shots.guess_view(Path(told.get("path") or told.get("image", "")).stem) or "find"
    angles = "angles" if {"azimuth", "elevation"} & known.keys() else guessed
    view = known.get("view", "camera" if known.get("camera") else angles)
    return fields | told | {"view": view.upper()}


def create_from_folder(path: str | Path, **options: Any) -> list[bpy.types.Object]:
    """An asset of every photo in a folder, side by side; waits for them. options: of the operator
    near.create_assets_from_folder."""
    before = set(list_assets())
    _run(_ops.near.create_assets_from_folder, directory=str(path), **options)
    return [ob for ob in list_assets() if ob not in before]


def list_assets(scene: bpy.types.Scene | None = None) -> list[bpy.types.Object]:
    """The objects of a scene, the open one by default, that stand for neural assets."""
    return [ob for ob in (scene or bpy.context.scene).objects if payload.find_payload(ob) is not None]


def set_look(ob: bpy.types.Object, **changes: Any) -> None:
    """Changes the look of an asset: tint, hue, saturation, exposure, roughness, metallic, opacity. What is not named
    stays. Raises NearError for other names."""
    unknown = [name for name in changes if name not in looks.NAMES]
    if unknown:
        raise errors.NearError("A look has no {unknown}.", "Choose from {choices}.", unknown=unknown[0],
                               choices=", ".join(looks.NAMES))
    owner: Any = ob
    for name, value in changes.items():
        setattr(owner.near.look, name, value)


def bake_mesh(ob: bpy.types.Object, path: str | Path = "") -> bpy.types.Object:
    """An asset as an ordinary mesh with maps, beside it in the scene, and as a .glb file where a path is given."""
    _activate(ob)
    return _run(_ops.near.bake_mesh, filepath=str(path))


def bake_splats(ob: bpy.types.Object, path: str | Path) -> None:
    """Writes an asset as Gaussian splats under its light, a .ply file."""
    _activate(ob)
    _run(_ops.near.bake_splats, filepath=str(path))


def _activate(ob: bpy.types.Object) -> None:
    bpy.context.view_layer.objects.active = ob
    bpy.context.view_layer.update()


def _run(operator: Any, **options: Any) -> bpy.types.Object:
    """Runs an operator to its end; returns the object that is active then. Raises RuntimeError with its message."""
    if operator(**options) != {"FINISHED"}:
        raise RuntimeError("It was stopped.")
    return bpy.context.view_layer.objects.active


class _Finder(MetaPathFinder, Loader):
    """Answers `import near` where nothing else is called so. The name is not taken before a script asks for it, and no
    module of the extension gets a second one: Blender warns of extensions that do."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(NAME, self) if fullname == NAME else None

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = __doc__
        vars(module).update((name, globals()[name]) for name in __all__)


_finder = _Finder()


def register() -> None:
    sys.meta_path.append(_finder)


def unregister() -> None:
    sys.meta_path.remove(_finder)
    if getattr(getattr(sys.modules.get(NAME), "__spec__", None), "loader", None) is _finder:
        del sys.modules[NAME]
