"""Run by the second Blender: draws with Cycles what client/cycles_process.py asks for, until the first Blender is gone.

    blender -b --factory-startup --disable-autoexec --python-expr BOOT -- 'OPTIONS'

OPTIONS is JSON: path (folders for sys.path, ours first), folder and parent as near_core.worker.worker.serve takes them.
BOOT sets the path and runs this module.
Messages beside near_core.worker.worker's "cancel" and "quit"; `scene` names the scene that "put" brought, and _POSE is
`layer`, `frame`, `subframe`, `names`, `matrices` and `looks` as cycles_scene.SceneState has them:

    put        kind "scene", hash, path, name, painted, devices, payloads    a .blend file with the scene of that name
    open       id, scene                                   so that the next request need not wait for it
    draw       id, scene, _POSE, camera, size, border, proxies, passes, samples, denoise, threads, transparent, holes,
               holdouts, screens
    probe      id, scene, _POSE, probes, proxies, size, samples, denoise, threads, groups, behind
    occluders  id, scene, _POSE, proxies, budget
    world      id, path, world, frame, samples, width, seen_width, widest, lighting, painted
    lamp       id, path, name, turn, frame, surface, painted
    pixels     id, path, space, alpha
    textures   id, path, name, frame, subframe, side, painted
    gather     id, paths, wanted                           of stills a contact sheet and a movie

"done" holds `passes`, `probes` or `occluders` with `stale`: the scene that is kept here is not the one that the request
means; or `maps`; `pattern`; `pixels`; `mesh`, `matrix` and `notes`; or `wrote`.
"""

from __future__ import annotations

import json
import sys

from .._core import worker
from .jobs import CyclesJobs

if __name__ == "__main__":
    options = json.loads(sys.argv[-1])
    worker.serve(options["folder"], options["parent"], CyclesJobs())
