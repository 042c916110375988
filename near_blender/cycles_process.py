"""The second Blender as the first one sees it: started with the first job, kept, fed with what changed.

It draws what is ordinary with Cycles: the picture that the assets stand in, the part of it that is in front of them,
and what an asset sees around itself. As a worker_process it is supervised, restarted and ended by the same rules; a job
that is cancelled while Cycles computes ends the process, and the next job starts another.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import worker_process
from ._core import PATH
from .cycles_scene import SceneState

JobHandle = worker_process.JobHandle


class CyclesProcess(worker_process.WorkerProcess):
    """The second Blender and the jobs it was given. Its methods return at once; see JobHandle for how to wait.

    Every result has `stale`: True where the scene kept there could not be made to agree with the state, so that
    cycles_scene.forget() and another try with a new state are called for. Colours are linear Rec.709.
    """

    called = "The second Blender"

    def draw(self, state: SceneState, camera: dict[str, Any], size: tuple[int, int], *,
             border: tuple[int, int, int, int] | None = None, proxies: Iterable[str] = (),
             passes: Sequence[str] = ("Combined", "Depth"), samples: int = 16, denoise: bool = True, threads: int = 0,
             transparent: bool | None = None, channel: str | None = None) -> JobHandle:
        """The ordinary picture: proxies are unseen by the camera, but shadow, bounce and are reflected.

        camera: cycles_scene.describe_camera's. size: width, height of the whole frame in pixels. border: left, top,
        right, bottom in pixels from the top left corner, None for the whole frame. proxies: name_full of objects.
        passes: keys of cycles_jobs.PASSES. threads: 0 for all. transparent: the film, None as the scene has it.

        The result's `passes` are float32 (H, W, channels) with row 0 on top: Combined premultiplied RGBA, Depth metres
        along the view axis and 1e10 where nothing is; Cryptomatte comes as CryptoObject00 and following.
        """
        return self._ask("draw", state, channel, camera=camera, size=size, border=border, proxies=list(proxies),
                         passes=list(passes), samples=samples, denoise=denoise, threads=threads,
                         transparent=transparent)

    def probe(self, state: SceneState, probes: Iterable[tuple[np.ndarray, Iterable[str]]], *,
              proxies: Iterable[str] = (), size: tuple[int, int] = (256, 128), samples: int = 16,
              denoise: bool = True, threads: int = 0, channel: str | None = None) -> JobHandle:
        """What is seen around points: ordinary things and proxies, no lamps, alpha 0 where the World would be.

        probes: position (3,) in the world, and name_full of the proxies that are unseen from there, though they cast
        their shadows. proxies: name_full of all proxies. size: width, height of each map. samples: per pixel.

        The result's `probes` are near_core.scene.Probe in that order.
        """
        wanted = [{"position": np.asarray(position, np.float64), "hidden": list(hidden)} for position, hidden in probes]
        return self._ask("probe", state, channel, probes=wanted, proxies=list(proxies), size=size, samples=samples,
                         denoise=denoise, threads=threads)

    def _ask(self, op: str, state: SceneState, channel: str | None, **fields: Any) -> JobHandle:
        return self.submit(op, channel, state.needs, **state.fields, **fields)

    def _command(self, folder: Path) -> list[str]:
        script = str(Path(__file__).with_name("cycles_main.py"))
        options = json.dumps({"path": _find_path(), "folder": str(folder), "parent": str(os.getpid())})
        if bpy.app.binary_path:
            return [bpy.app.binary_path, "-b", "--factory-startup", "--disable-autoexec", "-P", script, "--", options]
        boot = ("import json,runpy,sys; sys.path+=json.loads(sys.argv[2])['path'][1:]; import bpy; "
                "runpy.run_path(sys.argv[1],run_name='__main__')")  # bpy as a Python module
        return [worker_process.find_interpreter(), "-I", "-c", boot, script, options]

    def _is_worth_keeping(self, line: str) -> bool:
        return not ("Fra:" in line or line.startswith("Saved:") or not line.strip())


def _find_path() -> list[str]:
    """Where that Blender finds packages, ours first; Blender's own scripts would hide the bpy module."""
    scripts = Path(bpy.utils.resource_path("LOCAL"))
    return [str(PATH), *(p for p in sys.path if os.path.isdir(p) and scripts not in Path(p).parents)]
