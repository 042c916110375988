"""What is made of a row of stills: a contact sheet and a movie. In the second Blender, where an artist waits for it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .._core import image

COLUMNS = 6  # of a contact sheet
THUMBNAIL = 320  # pixels wide at most


def gather(paths: Sequence[str | Path], sheet: str, columns: int = COLUMNS, most: int = 10_000, movie: str = "",
           rate: int = 24) -> bool:
    """Writes a contact sheet, and a movie where one is named; says whether there is one."""
    files = [Path(path) for path in paths]
    write_sheet(files, Path(sheet), columns, most)
    return bool(movie) and write_movie(files, Path(movie), rate)


def write_sheet(paths: list[Path], path: Path, columns: int = COLUMNS, most: int = 10_000) -> None:
    """A contact sheet of pictures of one size, at most `most` of them, evenly chosen."""
    chosen = [paths[k * len(paths) // min(len(paths), most)] for k in range(min(len(paths), most))]
    pictures = []
    for each in chosen:
        picture = image.premultiply(image.read(each))
        step = max(1, math.ceil(picture.shape[1] / THUMBNAIL))
        high, wide = picture.shape[0] // step * step, picture.shape[1] // step * step
        pictures.append(picture[:high, :wide].reshape(high // step, step, wide // step, step, 4).mean((1, 3)))
    blank = np.zeros_like(pictures[0])
    rows = [[*pictures[k:k + columns], *[blank] * columns][:columns] for k in range(0, len(pictures), columns)]
    image.write_png(path, np.concatenate([np.concatenate(row, 1) for row in rows], 0).astype(np.float32))


def write_movie(paths: list[Path], path: Path, rate: int) -> bool:
    """An .mp4 of pictures, by Blender's sequencer; says whether this Blender could."""
    data: Any = bpy.data
    scene = data.scenes.new("NeAR movie")
    try:
        picture = data.images.load(str(paths[0]))
        scene.render.resolution_x, scene.render.resolution_y = picture.size
        data.images.remove(picture)
        scene.render.fps, scene.frame_start, scene.frame_end = rate, 1, len(paths)
        scene.render.resolution_percentage, scene.view_settings.view_transform = 100, "Standard"
        editor = scene.sequence_editor_create()
        strips = editor.strips if hasattr(editor, "strips") else editor.sequences  # from 4.4
        strip = strips.new_image("Frames", str(paths[0]), 1, 1)
        for each in paths[1:]:
            strip.elements.append(each.name)
        strip.frame_final_duration = len(paths)
        settings = scene.render.image_settings
        if hasattr(settings, "media_type"):
            settings.media_type = "VIDEO"
        settings.file_format = "FFMPEG"
        scene.render.ffmpeg.format, scene.render.ffmpeg.codec = "MPEG4", "H264"
        scene.render.filepath, scene.render.use_file_extension = str(path), False
        bpy.ops.render.render(animation=True, scene=scene.name)
    except (TypeError, RuntimeError):  # built without FFmpeg
        return False
    finally:
        data.scenes.remove(scene)
    return os.path.isfile(path)
