"""What the preferences say: the model in use, the Python it runs in, and where both are kept."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy

from . import flags
from ._core import ADDON, checkpoints, interpreter
from .client import client, worker_process
from .translations import say


def get_user_folder(name: str) -> Path:
    """A folder of the add-on's own that Blender deletes with it. Where it cannot be made, who writes to it says so."""
    if ADDON.startswith("bl_ext."):
        folder = Path(bpy.utils.extension_path_user(ADDON, path=name))
    else:
        folder = Path(bpy.utils.user_resource("EXTENSIONS", path=f".user/checkout/near/{name}"))
    with suppress(OSError):  # Blender itself would name no folder, which is the one that it was started in
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def get_python_folder() -> Path:
    """Where Set Up makes its Python."""
    return get_user_folder("python")


def has_begun() -> bool:
    """Whether Set Up has left anything in its folder, which may be none."""
    try:
        return any(get_python_folder().iterdir())
    except OSError:
        return False


def get_checkpoint_folder(name: str) -> Path:
    """Where the checkpoint of that name is downloaded to."""
    return get_user_folder("checkpoints") / name


def list_companions() -> list[str]:
    """The downloaded folders that stand beside the chosen checkpoint when assets are created."""
    return [str(get_checkpoint_folder(each.name)) for each in checkpoints.CATALOGUE.values()
            if not each.chosen and checkpoints.read_record(get_checkpoint_folder(each.name)) is not None]


def get_preferences() -> Any:
    """The add-on's preferences; None where it was registered without being enabled (scripts, tests)."""
    entry: Any = bpy.context.preferences.addons.get(ADDON)
    return entry.preferences if entry is not None else None


def find_python() -> str:
    """The interpreter for published models: the one named, else the one set up, else "" for Blender's own."""
    chosen = get_preferences()
    if chosen is not None and chosen.python:
        return bpy.path.abspath(chosen.python)
    folder = get_python_folder()
    return str(interpreter.locate_python(folder)) if interpreter.is_ready(folder) else ""


def apply_preferences() -> None:
    """Hands what is chosen to the worker."""
    chosen = get_preferences()
    if chosen is None or chosen.model != "PUBLISHED" or not chosen.checkpoint:
        client.use_backend(worker_process.Backend())
        return
    client.use_backend(worker_process.Backend(find_python(), {
        "model": bpy.path.abspath(chosen.checkpoint), "device": flags.choose_device(chosen.device.lower()),
        "precision": chosen.precision.lower(), "companions": list_companions()}))


def describe_checkpoint(name: str) -> tuple[str, checkpoints.Record | None]:
    """A checkpoint's state in words, and what is known of its files."""
    folder = get_checkpoint_folder(name)
    record = checkpoints.read_record(folder)
    if record is None:
        return say("Not downloaded"), None
    total, there = sum(each.size for each in record.files), checkpoints.count_bytes(folder, record)
    if record.verified and there == total:
        return say("Downloaded and verified"), record
    if all(checkpoints.size_on_disk(folder, each) == each.size for each in record.files):
        return say("Downloaded, not verified"), record
    return say("Interrupted at {there:.2f} of {total:.2f} GB", there=there / 1e9, total=total / 1e9), record


def describe_size(record: checkpoints.Record | None) -> str:
    """How much a checkpoint takes, in words."""
    if record is None:
        return say("Size: unknown until the download starts")
    return say("Size: {size:.2f} GB", size=sum(each.size for each in record.files) / 1e9)


def register() -> None:
    apply_preferences()


def unregister() -> None:
    client.use_backend(worker_process.Backend())
