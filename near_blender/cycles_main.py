"""Run by the second Blender: draws with Cycles what cycles_process.py asks for, until the first Blender is gone.

    blender -b --factory-startup --disable-autoexec -P cycles_main.py -- 'OPTIONS'

OPTIONS is JSON: path (folders for sys.path, ours first), folder and parent as near_core.worker.worker.serve takes them.
Messages beside near_core.worker.worker's "cancel" and "quit"; `scene` names the scene that "put" brought, and _POSE is
`layer`, `frame`, `subframe`, `names` and `matrices` as cycles_scene.SceneState has them:

    put        kind "scene", hash, path, name          a .blend file with the scene of that name
    draw       id, scene, _POSE, camera, size, border, proxies, passes, samples, denoise, threads, transparent
    probe      id, scene, _POSE, probes, size, samples, denoise, threads

"done" holds `passes`, or `probes`, and `stale`: the scene that is kept here is not the one that the request means.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main(options: dict[str, Any]) -> None:
    """Serves the first Blender until it is gone."""
    sys.path[:] = list(dict.fromkeys([*options["path"][:1], *sys.path, *options["path"][1:]]))
    from near_blender import cycles_jobs
    from near_core.worker import worker
    worker.serve(options["folder"], options["parent"], cycles_jobs.CyclesJobs())


if __name__ == "__main__":
    main(json.loads(sys.argv[-1]))
