"""Which process computes what: one for the embedded model, another while a published model is in use, and a second
Blender for what Cycles draws."""

from __future__ import annotations

import atexit
from typing import Any

from .cycles_process import CyclesProcess
from .worker_process import Backend, JobHandle, WorkerProcess

_embedded = WorkerProcess()
_rendering = _embedded
_cycles = CyclesProcess()


def get_worker() -> WorkerProcess:
    """The worker that computes pictures and reads photos, as chosen."""
    return _rendering


def get_cycles() -> CyclesProcess:
    """The second Blender."""
    return _cycles


def use_backend(backend: Backend) -> None:
    """Has the next pictures, and assets from photos, computed otherwise. Meshes stay with the worker of the embedded
    model; a published one gets a process of its own, which ends with the choice."""
    global _rendering
    if backend == _rendering.backend:
        return
    if _rendering is not _embedded:
        _rendering.stop()
    _rendering = WorkerProcess(backend) if backend.model else _embedded


def create_from_mesh(mesh, **options: Any) -> JobHandle:
    """create.create.create_from_mesh in the worker; the result's "asset" holds the bytes of a .near file, uint8."""
    return _embedded.submit("create_mesh", mesh=mesh, options=options)


def create_from_image(photos, **options: Any) -> JobHandle:
    """engine.Engine.create_from_image in the worker that the choice names; job.preview appears first, then as
    create_from_mesh."""
    return _rendering.submit("create_image", photos=photos, options=options)


def register() -> None:
    atexit.register(stop_workers)


def unregister() -> None:
    atexit.unregister(stop_workers)
    stop_workers()


def stop_workers() -> None:
    """Ends every process of the add-on that computes."""
    use_backend(Backend())
    _embedded.stop()
    _cycles.stop()
