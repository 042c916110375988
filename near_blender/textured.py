"""An asset of a mesh that the second Blender reads, with what other nodes than images compute baked; then a worker
makes it. Meshes and textures that would keep Blender waiting are read there, too."""

from __future__ import annotations

import threading
from typing import Any

import bpy
import numpy as np

from . import client, geometry, log, scratch, worker_process
from ._core import errors
from ._core import mesh as meshes

SIDES = {"draft": 512, "standard": 1024, "closeup": 2048}  # texels of the maps by how much an asset keeps
SHARE = 0.6  # of the time, that baking takes
_ADVICE = "Free space in the folder for temporary files, or name another in TMPDIR."


class TexturedCreation:
    """Both as one job, as worker_process.JobHandle. Where nothing can be baked the asset is made without, with a
    warning, if the surface is known. bounds, matrix: as geometry.ObjectSurface has them, once they are read."""

    preview: dict[str, Any] | None = None

    def __init__(self, ob: bpy.types.Object, frame: bpy.types.Scene, surface: geometry.ObjectSurface | None,
                 **options: Any) -> None:
        """surface: as geometry.read_mesh reads ob, where it did. options: as client.create_from_mesh takes them. Raises
        NearError."""
        self.bounds: tuple[np.ndarray, np.ndarray] | None = None
        self.matrix: np.ndarray | None = None
        self._surface, self._options, self._warning = surface, options, ""
        self._is_cancelled = False
        self._error: Exception | None = None
        try:
            path, self._folder = scratch.hand_over(ob, "object")
        except (OSError, RuntimeError) as error:
            raise errors.NearError("{name} could not be handed to the second Blender ({reason}).", _ADVICE,
                                   name=ob.name, reason=error) from error
        self._baking = client.bake_materials(path, ob.name, frame.frame_current, frame.frame_subframe,
                                             SIDES[options["detail"]])
        self._making: worker_process.JobHandle | None = None
        self._thread = threading.Thread(target=self._go_on, name="NeAR mesh", daemon=True)  # meshes can be large
        self._thread.start()

    @property
    def phase(self) -> str:
        return (self._making or self._baking).phase

    @property
    def fraction(self) -> float:
        if self._making is None:
            return SHARE * self._baking.fraction
        return SHARE + (1 - SHARE) * self._making.fraction

    @property
    def warning(self) -> str:
        return errors.join(self._warning, (self._making or self._baking).warning)

    @property
    def done(self) -> bool:
        return not self._thread.is_alive() and (self._making is None or self._making.done)

    def cancel(self) -> None:
        self._is_cancelled = True  # it may have baked, and not gone on yet
        self._baking.cancel()
        if self._making is not None:
            self._making.cancel()

    def result(self) -> dict[str, Any]:
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._making is not None
        return self._making.result()

    def _go_on(self) -> None:
        """Has the asset made of what was read and baked; on a thread."""
        try:
            mesh, notes = self._take()
            self.bounds, self._warning = meshes.compute_bounds(mesh), errors.join(*notes)
            self._making = client.create_from_mesh(mesh, **self._options)
            if self._is_cancelled:
                self._making.cancel()
        except Exception as error:
            known = isinstance(error, errors.NearError | errors.Cancelled)
            self._error = error if known else log.explain_bug(error)

    def _take(self) -> tuple[meshes.Mesh, list[str]]:
        """Waits for what the second Blender reads: the mesh, and what is missing of it."""
        try:
            answer = self._baking.result()
            self.matrix = answer["matrix"]
            return answer["mesh"], answer["notes"]
        except errors.NearError as error:
            if self._surface is None:
                raise
            self.matrix = self._surface.matrix
            return self._surface.mesh, [error.what, *self._surface.notes]
        finally:
            if self._folder is not None:
                self._folder.cleanup()
