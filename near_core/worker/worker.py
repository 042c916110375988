"""The worker: the child process of Blender in which assets are created and pictures computed.

    python -m near_core.worker FOLDER PARENT_PID

It talks through its standard input and output (protocol.Channel; libraries that print go to standard error) and ends
with its parent. Requests, each a dict with `op`:

    choose    model                                       keywords of engine.Engine; before the first request
    put       kind, hash, data, name                      keeps an "asset" (the bytes of a .near file), a "map" (of a
                                                          light), a "probe" or "occluders" (as near_core.scene's), a
                                                          "deformation" (as near_core.asset.deformation's)
    render    id, channel, instances, camera, environment, backdrop, settings, and where there are any lamps (a list of
              scene.Lamp), occluders (hash), shutter and lens (scene.Shutter, scene.Lens); instances are dicts of asset
              (hash), matrix, and where there are any deformation and probe (hashes), unlit_by (numbers of lamps), look
              (a scene.AssetLook), shadow, name and group (as scene.Instance's)
    prepare   as render, of which the light may still be unknown: the next "render" finds its assets ready
    bake      id, kind, side, instances, environment, backdrop, lamps, occluders; of the one instance a "mesh" with maps
              of side texels, "splats" whose cube has the edge `extent`, or the PSNR of the "asset": worker.baking
    create_mesh    id, mesh, options                      options are the keywords of create.create's functions
    create_image   id, photos, options
    find_matte     id, path, hints, matting               what of a photo is object (create.hints.Hints)
    find_pose      id, shot, shape, matting, stance, fits  from where a create.shot.Shot shows the triangles (hash of
                                                          occluders); a create.resection.Stance, None: search; fits:
                                                          begin there
              the last three with extensions, where there are any: Blender's repositories, as in NEAR_EXTENSIONS
    check_checkpoint   id, folder, companions             whether the networks of a folder fit
    fetch_checkpoint   id, name, folder                   as published.checkpoints
    verify_checkpoint  id, folder
    set_up_python      id, folder, build                  as published.interpreter
    probe_python       id, executable
    remove             id, folder, kind                   "checkpoint" or "python"
    cancel    id
    quit

Events, each a dict with `event`: "hello" once at the start, then with the request's id "progress" (phase, fraction),
"preview" (matte, crop) and in the end one of "done", "error" (what, fix), "missing" (hashes to put again), "cancelled".
A request that names a channel replaces earlier ones of the same channel: the newest wins. One that is waited for goes
before a viewport's, which gives way at once and starts over afterwards.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import Cancelled, NearError
from . import protocol
from .operations import Operations, Request

_NO_MEMORY = re.compile(r"bad.?alloc|allocate memory|failed to allocate|unable to allocate|can't start new thread"
                        r"|failed to map segment", re.I)
_NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


class Worker:
    """Takes requests from a channel and has operations answer them, one at a time.

    operations: has, as Operations, describe() for "hello", keep(message) for "put" and "choose", answer(request).
    """

    def __init__(self, channel: protocol.Channel, operations: Any):
        self._channel = channel
        self._operations = operations
        self._pending: list[Request] = []
        self._running: Request | None = None
        self._arrived = threading.Condition()

    def run(self) -> None:
        """Works until the process ends."""
        self._channel.send({"event": "hello", **self._operations.describe()})
        while True:
            with self._arrived:
                self._running = None
                self._arrived.wait_for(lambda: self._pending)
                request = min(self._pending, key=lambda waiting: waiting.urgency)
                self._pending.remove(request)
                self._running = request
            self._answer(request)

    def read(self) -> None:
        """Reads messages until the parent is gone."""
        while (message := self._channel.receive()) is not None and message["op"] != "quit":
            if message["op"] in ("put", "choose"):
                self._operations.keep(message)
            elif message["op"] == "cancel":
                self._cancel(lambda request: request["id"] == message["id"])
            else:
                self._accept(Request(message, self._channel.send))

    def _accept(self, request: Request) -> None:
        if request.channel is not None:
            self._cancel(lambda other: other.channel == request.channel)
        with self._arrived:
            running = self._running
            if running is not None and running.urgency > request.urgency and not running.cancelled.is_set():
                running.starts_over = True
                running.cancelled.set()
            self._pending.append(request)
            self._arrived.notify()

    def _cancel(self, chosen: Callable[[Request], bool]) -> None:
        with self._arrived:
            dropped = [request for request in self._pending if chosen(request)]
            self._pending = [request for request in self._pending if not chosen(request)]
            if self._running is not None and chosen(self._running):
                self._running.starts_over = False
                self._running.cancelled.set()
        for request in dropped:
            request.send("cancelled")

    def _answer(self, request: Request) -> None:
        start = time.perf_counter()
        try:
            answer = {"event": "done", **self._operations.answer(request), "seconds": time.perf_counter() - start}
        except Cancelled:
            with self._arrived:
                if request.starts_over:
                    self._pending.append(Request(request.fields, request.emit))
                    return
            answer = {"event": "cancelled"}
        except Exception as error:
            answer = _tell(_explain(error))
        try:
            request.send(**answer)
        except NearError as error:  # no room for its arrays
            request.send(**_tell(error))


def _explain(error: Exception) -> NearError:
    """What the person is told of what went wrong; of a bug of ours the log gets the traceback."""
    if isinstance(error, NearError) and "memory" in error.what:  # it says more of it
        return error
    if _is_short_of_memory(error):
        return NearError("There is not enough memory for this.", "Close other programs or choose a smaller picture.")
    if isinstance(error, NearError):
        return error
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return NearError("There is no room on the disk ({reason}).",
                         "Free space for temporary files, or choose another folder in Preferences > File Paths.",
                         reason=error.strerror)
    traceback.print_exc()
    return NearError("NeAR failed ({kind}: {reason}).",
                     "Copy the log with Check Setup in the add-on's preferences and report it.",
                     kind=type(error).__name__, reason=error)


def _is_short_of_memory(error: BaseException | None) -> bool:
    """Whether that is behind an error: onnxruntime, threads and libraries that cannot be loaded say it in their way."""
    while error is not None:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def _tell(error: NearError) -> dict[str, Any]:
    return {"event": "error", "what": error.what, "fix": error.fix}


def die_with(parent: int, at_once: bool = False) -> None:
    """Ends this process, or tells it to end, when the one that started it dies (Linux; elsewhere the closed pipe does
    it, and Windows has no such signals)."""
    if sys.platform != "linux":
        return
    by = signal.SIGKILL if at_once else signal.SIGTERM
    ctypes.CDLL(None).prctl(1, int(by), 0, 0, 0)  # 1 = PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it died before we asked
        os._exit(0)


def _end() -> None:
    """Ends this process at once, whatever is being computed."""
    if os.name == "nt":  # os._exit has each library clear up there, after their threads, locks in hand, are gone
        os.kill(os.getpid(), signal.SIGTERM)
    os._exit(0)


def main(folder: str, parent: str) -> None:
    """Works for the process `parent` until it is gone. folder: holds the two array files, is deleted at the end."""
    serve(folder, parent, Operations())


def serve(folder: str, parent: str, operations: Any) -> None:
    """main with other operations, which are called on the thread that calls this."""
    die_with(int(parent), at_once=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in a terminal is meant for Blender, which will tell us
    read, write = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    write.write(protocol.START)
    home = Path(folder)
    channel = protocol.Channel(read, write, incoming=home / "requests", outgoing=home / "answers")
    worker = Worker(channel, operations)

    def read_until_end() -> None:
        try:
            worker.read()
        except BaseException:
            traceback.print_exc()
        finally:
            channel.leave()  # Windows removes no file that is open
            shutil.rmtree(home, ignore_errors=True)
            _end()

    threading.Thread(target=read_until_end, daemon=True).start()
    worker.run()
