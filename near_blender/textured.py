"""An asset of a mesh whose materials other nodes than images compute: the second Blender bakes those, then a worker
makes the asset."""

from __future__ import annotations

from typing import Any

import bpy

from . import client, geometry, scratch
from ._core import errors

SIDES = {"draft": 512, "standard": 1024, "closeup": 2048}  # texels of the maps by how much an asset keeps
SHARE = 0.6  # of the time, that baking takes
_ADVICE = "Free space in the folder for temporary files, or name another in TMPDIR."


class TexturedCreation:
    """Both as one job, as worker_process.JobHandle. Where nothing can be baked the asset is made without, with a
    warning."""

    preview: dict[str, Any] | None = None

    def __init__(self, ob: bpy.types.Object, frame: bpy.types.Scene, surface: geometry.ObjectSurface, **options: Any
                 ) -> None:
        """surface: as geometry.read_mesh reads ob. options: as client.create_from_mesh takes them. Raises NearError."""
        self._surface, self._options, self._warning = surface, options, ""
        self._is_baking, self._is_cancelled = True, False
        try:
            path, self._folder = scratch.hand_over(ob, "object")
        except (OSError, RuntimeError) as error:
            raise errors.NearError("{name} could not be handed to the second Blender ({reason}).", _ADVICE,
                                   name=ob.name, reason=error) from error
        self._job = client.bake_materials(path, ob.name, frame.frame_current, frame.frame_subframe,
                                          SIDES[options["detail"]])

    @property
    def phase(self) -> str:
        return self._job.phase

    @property
    def fraction(self) -> float:
        return SHARE * self._job.fraction if self._is_baking else SHARE + (1 - SHARE) * self._job.fraction

    @property
    def warning(self) -> str:
        return errors.join(self._warning, self._job.warning)

    @property
    def done(self) -> bool:
        if self._is_baking and self._job.done:
            self._go_on()
        return self._job.done

    def cancel(self) -> None:
        self._is_cancelled = True  # it may have baked, and not gone on yet
        self._job.cancel()

    def result(self) -> dict[str, Any]:
        while self._is_baking:
            self._job.wait()
            self._go_on()
        return self._job.result()

    def _go_on(self) -> None:
        """Has the asset made of what was baked."""
        self._is_baking = False
        if self._folder is not None:
            self._folder.cleanup()
        try:
            answer = self._job.result()
            mesh, notes = answer["mesh"], answer["notes"]
        except errors.Cancelled:
            return
        except errors.NearError as error:
            mesh, notes = self._surface.mesh, [error.what, *self._surface.notes]
        self._warning = errors.join(*notes)
        self._job = client.create_from_mesh(mesh, **self._options)
        if self._is_cancelled:
            self._job.cancel()
