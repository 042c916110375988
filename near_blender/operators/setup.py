"""Check Setup: what works on this machine, line by line, in words that can be copied into a report."""

from __future__ import annotations

import importlib
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator

import bpy
import numpy as np

from .. import log
from .._core import ADDON, camera, environment, errors, image, scene
from .._core import asset as assets
from .._core import mesh as meshes
from ..asset import payload
from ..client import client, worker_process
from ..translations import say, translate
from . import jobs, status, watching
from .transfer import SAMPLE

STARTS_WITHIN = 60.0  # seconds
SIZE = 128  # pixels of the picture that is drawn
ALIKE = 40.0  # dB; pictures nearer than this look the same
PICTURE = SAMPLE.with_name("setup.png")  # by draw_sample and image.write_png, where the tests are green

COUNT = 7  # lines of a machine on which all is well

Line = tuple[bool, errors.Message]  # whether it is well, and one sentence
Job = worker_process.JobHandle
Watch = Callable[[Job], Job]  # is told of each job that is waited for, and gives it back


class SetupCheck:
    """A check on a thread of its own: Blender goes on meanwhile. lines: what it has found so far."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._job: Job | None = None
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="NeAR setup", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped."""
        return self._is_stopped

    @property
    def fraction(self) -> float:
        """How much of it is done."""
        return min(len(self.lines) / COUNT, 1.0)

    def cancel(self) -> None:
        """Stops it; nothing more is found."""
        self._is_stopped = True
        if self._job is not None:
            self._job.cancel()

    def _run(self) -> None:
        for line in check_setup(self._watch):
            if self._is_stopped:
                return
            self.lines.append(line)

    def _watch(self, job: Job) -> Job:
        self._job = job
        if self._is_stopped:
            job.cancel()
        return job


_lines: list[Line] = []
_current: SetupCheck | None = None


def list_findings() -> list[Line]:
    """What the last check found, for the preferences."""
    return list(_lines if _current is None else _current.lines)


def get_current() -> SetupCheck | None:
    """The check under way."""
    return _current


def check_setup(watch: Watch = lambda job: job) -> Iterator[Line]:
    """One line after the other; a line that fails does not stop the next."""
    yield True, errors.Message("Blender {blender}, Python {python}, {system}", blender=bpy.app.version_string,
                               python=platform.python_version(), system=platform.platform())
    for step in (_check_kernels, _check_worker, _check_second_blender, _check_creation, _check_picture):
        try:
            yield from step(watch)
        except errors.Cancelled:
            return
        except errors.NearError as error:
            yield False, errors.join(error.what, error.fix)
        except Exception as error:  # this is where people look when something is broken: show whatever it is
            yield False, errors.Message("{kind}: {reason}", kind=type(error).__name__, reason=error)


def _check_kernels(watch: Watch) -> Iterator[Line]:
    library = importlib.import_module(f"{ADDON}.kernels.library" if ADDON != "near_blender" else "kernels.library")
    yield True, errors.Message("Kernels for {system} ({set})", system=library.this_platform(), set=library.isa())


def _check_worker(watch: Watch) -> Iterator[Line]:
    start = time.perf_counter()
    hello = client.get_worker().check()
    yield True, errors.Message("Worker {version} ready in {seconds:.1f} s: Python {python}, numpy {numpy}",
                               version=hello["version"], seconds=time.perf_counter() - start, python=hello["python"],
                               numpy=hello["numpy"])
    chosen = client.get_worker().backend.model
    if chosen:
        yield bool(hello["torch"]), errors.Message("Published model in use, torch: {torch}",
                                                   torch=hello["torch"] or errors.Message("missing"))
    if hello["onnxruntime_problem"]:
        yield False, errors.Message("onnxruntime cannot be used: {reason}", reason=hello["onnxruntime_problem"])
    else:
        yield True, errors.Message("onnxruntime {version} ({providers})", version=hello["onnxruntime"],
                                   providers=", ".join(hello["providers"]))


def _check_second_blender(watch: Watch) -> Iterator[Line]:
    """What draws ordinary objects, and bakes."""
    start = time.perf_counter()
    hello = client.get_cycles().check(STARTS_WITHIN)
    said = errors.Message("Second Blender {version} ready in {seconds:.1f} s", version=hello["blender"],
                          seconds=time.perf_counter() - start)
    if hello["denoises"]:
        yield True, said
    else:
        yield True, errors.Message("{said}: it has no OpenImageDenoise, ordinary objects are drawn with noise",
                                    said=said)


def _check_creation(watch: Watch) -> Iterator[Line]:
    """Creates a square plate."""
    start = time.perf_counter()
    corners = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]], np.float32)
    mesh = meshes.Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32))
    job = watch(client.create_from_mesh(mesh, name="Setup", normalize=True))
    data = job.result()["asset"].tobytes()
    voxels = len(assets.from_bytes(data).coords)
    yield True, errors.Message("An asset of {voxels:,} voxels created in {seconds:.1f} s", voxels=voxels,
                               seconds=time.perf_counter() - start)


def _check_picture(watch: Watch) -> Iterator[Line]:
    """Draws the sample and compares it with the picture that comes with it."""
    if not all(map(os.path.isfile, (SAMPLE, PICTURE))):
        yield False, errors.Message("The sample that comes with NeAR is missing: install the extension again")
        return
    start = time.perf_counter()
    drawn, model = draw_sample(watch)
    seconds = time.perf_counter() - start
    off = image.srgb_encode(np.clip(drawn, 0, 1)) - image.srgb_encode(image.read(PICTURE)[..., :3])
    psnr = float(-10 * np.log10(max(float((off**2).mean()), 1e-10)))
    said = errors.Message("A picture of {size} x {size} pixels in {seconds:.1f} s, {psnr:.0f} dB from the one that "
                          "comes with NeAR", size=SIZE, seconds=seconds, psnr=psnr)
    if psnr >= ALIKE:
        yield True, errors.Message("{said}: it looks the same", said=said)
    else:
        yield False, errors.Message("{said}: it looks different. Update the drivers and the extension, and send this "
                                    "report ({model})", said=said, model=model)


def draw_sample(watch: Watch = lambda job: job) -> tuple[np.ndarray, str]:
    """The sample over black in a light of its own, (SIZE, SIZE, 3) float32 linear, and what drew it."""
    data = SAMPLE.read_bytes()
    key, light = payload.hash_bytes(data), np.full((16, 32, 3), 0.25, np.float32)
    light[3:6, 6:10] = 8, 7, 5
    light[8:12, 20:24] = 1, 2, 4
    sky = environment.Environment(light)
    job = client.get_worker().submit(
        "render", camera=camera.orbit(30, 20, 2.2, 35, SIZE, SIZE), settings=scene.Settings(passes=("Combined",)),
        backdrop=None, instances=[{"asset": key, "matrix": np.eye(4)}],
        environment={"map": sky.hash, "world_to_map": sky.world_to_map, "strength": 1.0},
        needs={key: lambda: {"kind": "asset", "data": data, "name": "Setup"},
               sky.hash: lambda: {"kind": "map", "data": sky.map, "name": "Setup"}})
    answer = watch(job).result()
    return answer["passes"]["Combined"][..., :3], answer["model"]


class NEAR_OT_check_setup(bpy.types.Operator):
    bl_idname = "near.check_setup"
    bl_label = "Check Setup"
    bl_description = "Try every part of NeAR on this machine, draw a picture, compare it and say what works"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if _current is not None:
            cls.poll_message_set("Check Setup is under way")
            return False
        return jobs.is_idle(cls)  # it makes an asset itself, and would wait for the other one

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        global _current
        _current = SetupCheck()
        return watching.watch(self, context, jobs.INTERVAL)

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        check = _current
        if check is None:  # the add-on was disabled
            return {"CANCELLED"}
        if check.is_stopped or event.type == "ESC" and event.value == "PRESS":
            self.cancel(context)
            _lines.append((False, errors.Message("Check Setup stopped")))
            self.report({"INFO"}, say("Check Setup stopped"))
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        show_status(context, say("NeAR: Check Setup, {fraction:.0%} (Esc stops it)", fraction=check.fraction))
        if not check.done:
            return {"PASS_THROUGH"}
        self._leave(context)
        return self._tell(check.lines)

    def cancel(self, context: bpy.types.Context) -> None:
        """Called by Blender too, when another file is opened or the window closed."""
        if _current is not None:
            _current.cancel()
        self._leave(context)

    def _leave(self, context: bpy.types.Context) -> None:
        global _current
        if _current is not None:
            _lines[:] = _current.lines
        _current = None
        watching.leave(self, context)
        show_status(context, None)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self._tell(list(check_setup()))

    def _tell(self, lines: list[Line]) -> set[str]:
        _lines[:] = lines
        for well, text in lines:
            self.report({"INFO"} if well else {"WARNING"}, translate(text))
        return {"FINISHED"}


def show_status(context: bpy.types.Context, text: str | None) -> None:
    """As status.show_status; the preferences, where the findings are, are drawn again, too."""
    status.show_status(context, text)
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()


class NEAR_OT_copy_setup(bpy.types.Operator):
    bl_idname = "near.copy_setup"
    bl_label = "Copy Report"
    bl_description = "Copy the lines above and the log, without names of files"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        found = "\n".join(("ok    " if well else "WRONG ") + text for well, text in _lines)
        context.window_manager.clipboard = f"{found}\n\n{log.get_text()}"
        return {"FINISHED"}


CLASSES = (NEAR_OT_check_setup, NEAR_OT_copy_setup)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]


def register() -> None:
    _register()


def unregister() -> None:
    global _current
    if _current is not None:
        _current.cancel()
        _current = None
    _unregister()
