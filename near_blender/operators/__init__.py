"""What the artist can do. Operators are thin: they read the scene, hand work over and put the result in place."""

from __future__ import annotations

from . import (
    bake,
    compositing,
    create,
    drawing,
    folder,
    jobs,
    library,
    matte,
    orbit,
    origin,
    photos,
    pictures,
    pose,
    presets,
    published,
    setup,
    showcase,
    status,
    stop,
    tasks,
    transfer,
    watching,
)

_MODULES = (status, jobs, create, origin, orbit, drawing, matte, pose, photos, pictures, folder, transfer, library,
            compositing, bake, showcase, presets, setup, tasks, published, stop, watching)


def register() -> None:
    for module in _MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(_MODULES):
        module.unregister()
