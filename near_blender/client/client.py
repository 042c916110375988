"""Which process computes what: one draws, another makes assets beside it, and a second Blender does what Cycles draws.

Drawing and creating are two lanes, so that a viewport goes on and a final render starts at once while an asset is
made; creating gets what drawing leaves of the processor. Each lane has a worker of the embedded model, and one more
while a published model is in use.
"""

from __future__ import annotations

import atexit
import os
from typing import Any

import bpy

from . import cycles_loss
from .cycles_process import CyclesProcess
from .worker_process import Backend, JobHandle, WorkerProcess


class Lanes:
    """The workers of one backend, each started by its first job. drawing: pictures. creating: assets."""

    def __init__(self, backend: Backend = Backend()) -> None:
        self.drawing = WorkerProcess(backend)
        self.creating = WorkerProcess(backend, yields=True)

    def stop(self) -> None:
        """Ends their processes."""
        self.creating.stop()
        self.drawing.stop()


_embedded = Lanes()
_chosen = _embedded
_cycles = CyclesProcess()


def get_worker() -> WorkerProcess:
    """The worker that computes pictures, as chosen."""
    return _chosen.drawing


def get_cycles() -> CyclesProcess:
    """The second Blender."""
    return _cycles


def use_backend(backend: Backend) -> None:
    """Has the next pictures, and assets from photos, computed otherwise. Meshes stay with the embedded model; the
    processes of a published one end with the choice."""
    global _chosen
    if backend == get_worker().backend:
        return
    if _chosen is not _embedded:
        _chosen.stop()
    _chosen = Lanes(backend) if backend.model else _embedded


def create_from_mesh(mesh, **options: Any) -> JobHandle:
    """create.create.create_from_mesh in a worker; the result's "asset" holds the bytes of a .near file, uint8."""
    return _embedded.creating.submit("create_mesh", mesh=mesh, options=options)


def read_surface(path: str, name: str, frame: int, subframe: float, side: int) -> JobHandle:
    """cycles_textures.read in the second Blender: `mesh`, `matrix` and `notes`. path, name: an object in a .blend
    file."""
    return _cycles.submit("textures", path=path, name=name, frame=frame, subframe=subframe, side=side,
                          painted=cycles_loss.collect_painted())


def bake(kind: str, needs: dict[str, Any], side: int = 2048, **request: Any) -> JobHandle:
    """worker.baking in a worker: the result has `mesh` or `ply`, uint8, and `psnr`. kind: "mesh" or "splats". request:
    as sync.make_request says, of one instance."""
    return _embedded.creating.submit("bake", needs=needs, kind=kind, side=side, **request)


def create_from_image(photos, **options: Any) -> JobHandle:
    """engine.Engine.create_from_image in a worker of the choice; job.preview appears first, then as
    create_from_mesh."""
    return _chosen.creating.submit("create_image", photos=photos, options=options, extensions=name_extensions())


def find_matte(path: str, hints, matting: str) -> JobHandle:
    """What of a photo is object, as worker.operations.Operations.find_matte answers."""
    return _embedded.creating.submit("find_matte", path=path, hints=hints, matting=matting,
                                     extensions=name_extensions())


def find_pose(shot, shape, matting: str, stance=None, fits: bool = False) -> JobHandle:
    """From where a photo shows a shape, scene.Occluders, as worker.operations.Operations.find_pose answers."""
    keep = {"kind": "occluders", "data": shape, "name": "The shape"}
    return _embedded.creating.submit("find_pose", needs={shape.hash: lambda: keep}, shot=shot, shape=shape.hash,
                                     matting=matting, stance=stance, fits=fits, extensions=name_extensions())


def gather(paths: list[str], **wanted: Any) -> JobHandle:
    """contact_sheet.gather in the second Blender; the result's `wrote` is what that returns."""
    return _cycles.submit("gather", paths=paths, wanted=wanted)


def name_extensions() -> str:
    """Where Blender's repositories of extensions lie now, which processes that it starts from now on know, too."""
    repositories: Any = bpy.context.preferences.extensions.repos
    told = os.pathsep.join(each.directory for each in repositories if each.enabled)
    os.environ["NEAR_EXTENSIONS"] = told
    return told


def register() -> None:
    name_extensions()
    atexit.register(stop_workers)


def unregister() -> None:
    atexit.unregister(stop_workers)
    stop_workers()


def stop_workers() -> None:
    """Ends every process of the add-on that computes."""
    use_backend(Backend())
    _embedded.stop()
    _cycles.stop()
