"""The second Blender as the first one sees it: started with the first job, kept, fed with what changed.

It draws what is ordinary with Cycles: the picture that the assets stand in, the part of it that is in front of them,
and what an asset sees around itself. As a worker_process it is supervised, restarted and ended by the same rules; a job
that is cancelled while Cycles computes ends the process; another starts at once and opens the scene.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .. import flags
from .._core import PATH, errors
from . import worker_process

_BOOT = ("import json,runpy,sys; p=json.loads(sys.argv[-1])['path']; "
         "sys.path[:]=list(dict.fromkeys([*p,*sys.path])); "
         "runpy.run_module('near_blender.cycles.main',run_name='__main__',alter_sys=True)")

NO_SCREENS = np.zeros((0, 4, 3), np.float32)
_KEPT = 3  # pictures: a frame may have two views, and what is in front

JobHandle = worker_process.JobHandle


@dataclass(frozen=True)
class SceneState:
    """A scene as a depsgraph shows it, ready for requests; cycles_scene.capture makes it.

    fields: scene (the key of its file), layer, frame, subframe, names (name_full of the objects shown) and matrices
    (N, 4, 4) float64, their matrix_world; looks, name_full of proxies and scene.AssetLook of their assets.
    needs: as worker_process.WorkerProcess.submit takes them.
    note: what Cycles cannot draw as the artist sees it, in words; a drawn picture's job has it as a warning.
    """

    fields: dict[str, Any]
    needs: dict[str, Callable[[], dict]]
    note: str = ""


class CyclesProcess(worker_process.WorkerProcess):
    """The second Blender and the jobs it was given. Its methods return at once; see JobHandle for how to wait.

    Every result has `stale`: True where the scene kept there could not be made to agree with the state, so that
    cycles_scene.forget() and another try with a new state are called for. Colours are linear Rec.709.
    """

    called = errors.Message("The second Blender")

    def __init__(self) -> None:
        super().__init__()
        self._recent: dict[str, dict[str, Any]] = {}  # the newest first

    def draw(self, state: SceneState, camera: dict[str, Any], size: tuple[int, int], *,
             border: tuple[int, int, int, int] | None = None, proxies: Iterable[str] = (),
             passes: Sequence[str] = ("Combined", "Depth"), samples: int = 16, denoise: bool = True, threads: int = 0,
             transparent: bool | None = None, holes: Iterable[tuple[str, np.ndarray]] = (),
             holdouts: bool = True, screens: np.ndarray = NO_SCREENS, channel: str | None = None) -> JobHandle:
        """The ordinary picture: proxies are unseen by the camera, but shadow, bounce and are reflected.

        camera: cycles_scene.describe_camera's. size: width, height of the whole frame in pixels. border: left, top,
        right, bottom in pixels from the top left corner, None for the whole frame. proxies: name_full of objects.
        passes: keys of cycles_jobs.PASSES, or OWN and an AOV's name. threads: 0 for all. transparent: the film, None as
        the scene has it. holes: name_full of a proxy and its mesh to the world, (4, 4), or (T, 4, 4) while the shutter
        is open, for each instance of an asset that shall be a hole with alpha 0, two pixels larger than the proxy: with
        a transparent film, what is left is what is in front of them. holdouts: whether the artist's own holdouts are
        holes, too; without, they are plain surfaces. screens: (N, 4, 3) float32, squares in the world that are holes
        for the camera as well, as near_core.render.screens finds them.

        The result's `passes` are float32 (H, W, channels) with row 0 on top: Combined premultiplied RGBA, Depth metres
        along the view axis and 1e10 where nothing is; each Cryptomatte comes as CryptoObject00 and so on.
        """
        job = self._ask_once("draw", state, channel, camera=camera, size=size, border=border, proxies=list(proxies),
                         passes=list(passes), samples=samples, denoise=denoise, threads=threads,
                         transparent=transparent, holdouts=holdouts, screens=screens,
                         holes=[{"name": n, "matrix": np.asarray(m)} for n, m in holes])
        job.warning = job.warning or state.note
        return job

    def probe(self, state: SceneState, probes: Iterable[tuple[np.ndarray, Iterable[str]]], *,
              proxies: Iterable[str] = (), size: tuple[int, int] = (256, 128), samples: int = 4,
              denoise: bool = True, threads: int = 0, groups: Sequence[str] = (), behind: str = "",
              channel: str | None = None) -> JobHandle:
        """What is seen around points: ordinary things and proxies, no lamps, alpha 0 where the World would be.

        probes: position (3,) in the world, and name_full of the proxies that are unseen from there, though they cast
        their shadows. proxies: name_full of all proxies. size: width, height of each map. samples: per pixel.
        groups: light groups that are told apart. behind: the World's.

        The result's `probes` are near_core.scene.Probe in that order.
        """
        wanted = [{"position": np.asarray(position, np.float64), "hidden": list(hidden)} for position, hidden in probes]
        return self._ask("probe", state, channel, probes=wanted, proxies=list(proxies), size=size, samples=samples,
                         denoise=denoise, threads=threads, groups=list(groups), behind=behind)

    def occluders(self, state: SceneState, *, proxies: Iterable[str] = (), budget: int = 2_000_000,
                  channel: str | None = None) -> JobHandle:
        """The triangles of ordinary objects, instances too, that cast shadows, those near to proxies first.

        The result's `occluders` is a near_core.scene.Occluders of at most `budget` triangles; the job's warning says
        how many were left out.
        """
        return self._ask("occluders", state, channel, proxies=list(proxies), budget=budget)

    def bake_world(self, path: str, world: str, **options: Any) -> JobHandle:
        """The World of that name in a .blend file as maps; options and the result's `maps` are cycles_world.bake's."""
        return self.submit("world", path=path, world=world, **options)

    def bake_lamp(self, path: str, name: str, **options: Any) -> JobHandle:
        """The pattern of the lamp of that name in a .blend file; options and the result's `pattern` are
        cycles_lamps.bake's."""
        return self.submit("lamp", path=path, name=name, **options)

    def read_pixels(self, path: str, space: str, alpha: str) -> JobHandle:
        """An image file; the result's `pixels` are as cycles_world.read_pixels has them."""
        return self.submit("pixels", path=path, space=space, alpha=alpha)

    def _ask(self, op: str, state: SceneState, channel: str | None, **fields: Any) -> JobHandle:
        return self.submit(op, channel, state.needs, **state.fields, **fields)

    def _ask_once(self, op: str, state: SceneState, channel: str | None, **fields: Any) -> JobHandle:
        """As _ask, but what was answered lately is not asked again: Cycles makes the same picture of the same scene."""
        content = json.dumps([op, state.fields, fields], default=lambda value: (
            value.tobytes().hex() if isinstance(value, np.ndarray) else repr(value)))
        key = hashlib.sha256(content.encode()).hexdigest()
        answer = self._recent.get(key)
        if answer is None:
            return self._ask(op, state, channel, key=key, **fields)
        job = JobHandle(self, {"id": 0}, {})
        job.finish(_copy(answer))
        return job

    def _finish(self, job: JobHandle, answer: dict[str, Any] | None = None, error: Exception | None = None) -> None:
        key = job.request.get("key")
        if key and answer is not None and not answer["stale"]:
            self._recent = dict([(key, _copy(answer)), *self._recent.items()][:_KEPT])
        super()._finish(job, answer, error)

    def _enforce(self, job: JobHandle) -> None:
        with self._lock:  # Cycles looks for Esc where a process without a window cannot press it, so it had to be ended
            if job.done:
                return
            super()._enforce(job)
            if "scene" in job.request:  # the next one is at work before it is needed
                self.submit("open", "open", job.needs, scene=job.request["scene"])

    def _command(self, folder: Path) -> list[str]:
        options = json.dumps({"path": _find_path(), "folder": str(folder), "parent": str(os.getpid())})
        if bpy.app.binary_path:
            return [bpy.app.binary_path, "-b", "--factory-startup", "--disable-autoexec", "--python-exit-code", "1",
                    "--python-expr", _BOOT, "--", *flags.list_cycles(), options]
        return [worker_process.find_interpreter(), "-I", "-c", _BOOT, options]  # bpy as a Python module

    def _is_worth_keeping(self, line: str) -> bool:
        return not ("Fra:" in line or "not available for scene" in line or not line.strip())


def _copy(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer whose passes may be changed by whoever gets it."""
    return answer | {"passes": {name: values.copy() for name, values in answer["passes"].items()}}


def _find_path() -> list[str]:
    """Where that Blender finds packages, ours first; Blender's own scripts would hide the bpy module."""
    scripts = Path(bpy.utils.resource_path("LOCAL"))
    return [str(PATH), *(p for p in sys.path if os.path.isdir(p) and scripts not in Path(p).parents)]
