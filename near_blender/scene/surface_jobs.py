"""What is made of an object's surface, as one job: it is read, what nodes compute is baked, and a worker goes on.

What would keep Blender waiting is not done in its main thread: the second Blender reads large meshes and textures and
bakes, and a thread hands them over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import bpy

from .. import log, scratch
from .._core import errors
from ..client import client, worker_process
from . import geometry

SIDES = {"draft": 512, "standard": 1024, "closeup": 2048}  # texels of the maps by how much an asset keeps
BAKED, READ = 0.6, 0.2  # shares of the time, where something is baked and where not
_ADVICE = "Free space for temporary files, or choose another folder in Preferences > File Paths."


def start(ob: bpy.types.Object, frame: bpy.types.Scene, make: Callable[[geometry.ObjectSurface],
          worker_process.JobHandle], *, side: int = 0, tells: bool = False, waits: bool = False) -> SurfaceJob:
    """Has something made of the surface of ob, as renders of the scene `frame` show it.

    make: has a worker go on with it. side: texels of the maps of what is computed; 0: nothing is baked. tells: the
    warning names what is missing of its materials. waits: somebody waits for it anyway. Raises NearError.
    """
    away = not waits and geometry.is_large(ob, bpy.context.evaluated_depsgraph_get())
    surface = None if away else geometry.read_mesh(ob, frame)
    reading = SurfaceReading(ob, frame, side) if surface is None or side and surface.is_computed else None
    return SurfaceJob(make, surface, reading, tells)


class SurfaceReading:
    """An object's surface on its way from the second Blender."""

    def __init__(self, ob: bpy.types.Object, frame: bpy.types.Scene, side: int) -> None:
        """side: as of start. Raises NearError."""
        try:
            path, self.folder = scratch.hand_over(ob, "object")
        except OSError as error:
            raise errors.NearError("{name} could not be handed to the second Blender ({reason}).", _ADVICE,
                                   name=ob.name, reason=error) from error
        self.share = BAKED if side else READ
        self.job = client.read_surface(path, ob.name, frame.frame_current, frame.frame_subframe, side)

    def result(self) -> geometry.ObjectSurface:
        """Waits for it. Raises what went wrong."""
        try:
            answer = self.job.result()
            return geometry.ObjectSurface(answer["mesh"], answer["notes"], answer["matrix"], False)
        finally:
            if self.folder is not None:
                self.folder.cleanup()


class SurfaceJob:
    """All of it, as worker_process.JobHandle. surface: once it is known; where it could not be baked that is what was
    known before, with a warning."""

    def __init__(self, make: Callable[[geometry.ObjectSurface], worker_process.JobHandle],
                 surface: geometry.ObjectSurface | None, reading: SurfaceReading | None = None,
                 tells: bool = False) -> None:
        """make, tells: as of start. One of surface and reading is there."""
        self.surface = surface
        self._make, self._reading, self._tells, self._warning = make, reading, tells, ""
        self._making: worker_process.JobHandle | None = None
        self._is_cancelled = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._go_on, name="NeAR mesh", daemon=True)  # meshes can be large
        self._thread.start()

    @property
    def phase(self) -> str:
        job = self._making or (self._reading and self._reading.job)
        return job.phase if job else "Starting"

    @property
    def fraction(self) -> float:
        before = self._reading.share if self._reading else 0.0
        if self._making is not None:
            return before + (1 - before) * self._making.fraction
        return before * self._reading.job.fraction if self._reading else 0.0

    @property
    def preview(self) -> dict[str, Any] | None:
        return self._making.preview if self._making is not None else None

    @property
    def warning(self) -> str:
        job = self._making or (self._reading and self._reading.job)
        return errors.join(self._warning, job.warning if job else "")

    @property
    def done(self) -> bool:
        return not self._thread.is_alive() and (self._making is None or self._making.done)

    def cancel(self) -> None:
        self._is_cancelled = True  # it may have been read, and not gone on yet
        if self._reading is not None:
            self._reading.job.cancel()
        if self._making is not None:
            self._making.cancel()

    def result(self) -> dict[str, Any]:
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._making is not None
        return self._making.result()

    def _go_on(self) -> None:
        """Has a worker go on with what was read; on a thread."""
        try:
            if self._reading is not None:
                self._take(self._reading)
            assert self.surface is not None
            _ = self.surface.bounds  # of a large mesh they take a while, and Blender's main thread asks for them
            if self._tells:
                self._warning = errors.join(self._warning, *self.surface.notes)
            if self._is_cancelled:
                raise errors.Cancelled()
            self._making = self._make(self.surface)
            if self._is_cancelled:
                self._making.cancel()
        except Exception as error:
            known = isinstance(error, errors.NearError | errors.Cancelled)
            self._error = error if known else log.explain_bug(error)

    def _take(self, reading: SurfaceReading) -> None:
        """Waits for what the second Blender reads."""
        try:
            self.surface = reading.result()
        except errors.NearError as error:
            if self.surface is None:
                raise
            self._warning = error.what
