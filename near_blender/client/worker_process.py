"""A worker process as Blender sees it: started when the first job comes, watched, started again when it dies.

Blender's main thread never waits here unless it asks to (JobHandle.wait). One thread per process supervises it: it
starts the process (Linux ends a child together with the thread that started it, so no short-lived thread may), reads
its answers and finishes the jobs.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import log, scratch
from .._core import DRAWING, PATH, answers, errors, protocol
from .outbox import Outbox

READY_WITHIN = 60.0  # seconds until a process that does not say hello is taken for hung
CANCEL_WITHIN = 0.5  # seconds until a process that does not stop is gone
MARGIN = 0.2  # of these, for killing it
QUIT_WITHIN = 0.5
END_WITHIN = 2.0  # seconds that stop() waits for what is left of a process
QUIET = {"OMP_WAIT_POLICY": "PASSIVE"}  # what waits does not keep a processor busy
NICENESS = 10  # of a process that yields: beside one that does not, it gets a tenth

# -I keeps the child clear of the user's environment; the path is handed over as it is here, ours first, and the rest of
# it where the child is the same Python (its own packages win)
_BOOT = ("import json,runpy,sys; v,p=json.loads(sys.argv.pop(1)); p=p if v==list(sys.version_info[:2]) else p[:1]; "
         "sys.path[:]=list(dict.fromkeys(p[:1]+sys.path+p[1:])); "
         "runpy.run_module(sys.argv.pop(1),run_name='__main__',alter_sys=True)")


@dataclass(frozen=True)
class Backend:
    """What computes pictures. python: an executable, "" for Blender's own; model: keywords of near_core's
    engine.Engine, none for the embedded model."""

    python: str = ""
    model: dict[str, Any] = field(default_factory=dict)


class JobHandle:
    """Work given to the worker. May be looked at from any thread."""

    def __init__(self, worker: WorkerProcess, request: dict[str, Any], needs: dict[str, Callable[[], dict]]):
        self.request, self.needs = request, needs
        self.phase, self.fraction = "Starting", 0.0
        self.preview: dict[str, Any] | None = None  # matte and crop, once they are known
        self.warning = ""  # what the person should know although it went on
        self.crashes = 0
        self.is_cancelled = False  # an answer that was on its way then is not wanted
        self._worker, self._done = worker, threading.Event()
        self._answer: dict[str, Any] = {}
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether there is an answer or an error."""
        return self._done.is_set()

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self.done and self.error is not None

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until it is done, seconds at the longest; says whether it is."""
        return self._done.wait(seconds)

    def result(self) -> dict[str, Any]:
        """The worker's answer. Raises the job's NearError, or Cancelled."""
        self._done.wait()
        if self.error is not None:
            raise self.error
        return self._answer

    def cancel(self) -> None:
        """Stops it; it is done within half a second, whatever the worker is doing."""
        self._worker.cancel(self)

    def finish(self, answer: dict[str, Any] | None = None, error: Exception | None = None) -> None:
        """Called by the worker's supervisor."""
        self._answer, self.error = answer or {}, error
        self._done.set()


class WorkerProcess:
    """One child process and the jobs it was given. yields: it leaves the processor to what else computes."""

    called: str = errors.Message("The worker process")  # in messages

    def __init__(self, backend: Backend = Backend(), yields: bool = False) -> None:
        self.backend, self._yields = backend, yields
        self.hello: dict[str, Any] = {}  # what the running process said of itself
        self._lock = threading.RLock()
        self._jobs: dict[int, JobHandle] = {}
        self._ids = itertools.count(1)
        self._known, self._taken = set[str](), set[int]()  # hashes that the process keeps; jobs that it took with it
        self._process: subprocess.Popen | None = None
        self._channel: protocol.Channel | None = None
        self._thread: threading.Thread | None = None
        self._stopping = self._wanted = self._expected = False

    def submit(self, op: str, channel: str | None = None, needs: dict[str, Callable[[], dict]] | None = None,
               **fields: Any) -> JobHandle:
        """Hands a request over and returns at once.

        op, fields: as near_core.worker.worker lists them. channel: earlier jobs of the same channel are dropped.
        needs: hash -> function that returns the other fields of `put`, called where the worker lacks that hash.
        """
        with self._lock:
            number = next(self._ids)
            job = JobHandle(self, {"op": op, "id": number, "channel": channel, **fields}, needs or {})
            self._jobs[number] = job
            self._wake()
            if self.hello:
                self._send(job)
        return job

    def check(self, seconds: float = 10.0) -> dict[str, Any]:
        """Starts the process where none runs and returns its hello: versions and onnxruntime_problem.

        Raises NearError when it does not start in that time.
        """
        with self._lock:
            self._wake()
            thread = self._thread
        waited = threading.Event()
        for _ in range(int(seconds / 0.02)):
            if self.hello:
                return dict(self.hello)
            if not thread.is_alive():
                break
            waited.wait(0.02)
        raise _not_started(self.called)

    def cancel(self, job: JobHandle) -> None:
        """Stops a job: at once where it was not sent yet, else within CANCEL_WITHIN seconds."""
        with self._lock:
            if job.done or job.request["id"] not in self._jobs:
                return
            job.is_cancelled = True
            if not self.hello:  # it was never sent
                self._finish(job, error=errors.Cancelled())
                return
            self._tell({"op": "cancel", "id": job.request["id"]})
        timer = threading.Timer(CANCEL_WITHIN - MARGIN, self._enforce, [job])
        timer.daemon = True
        timer.start()

    def is_asked_for(self, *channels: str) -> bool:
        """Whether a job of one of these channels has not ended."""
        with self._lock:
            return any(job.request["channel"] in channels for job in self._jobs.values())

    def stop(self) -> None:
        """Ends the process and cancels what is left; the next job starts a new one, however slowly the old one goes."""
        with self._lock:
            thread, process = self._thread, self._process
            if thread is None:
                return
            self._stopping, self._wanted = True, False
            self._tell({"op": "quit"})
            self.hello = {}  # nothing more is sent to it
            for job in list(self._jobs.values()):
                self._finish(job, error=errors.Cancelled())
        if process is not None:
            try:
                process.wait(QUIT_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
        thread.join(END_WITHIN)

    def _wake(self) -> None:
        """Has a process run, the next one where this one is stopping."""
        self._wanted = True
        if self._thread is None:
            thread = threading.Thread(target=self._supervise, name="NeAR worker", daemon=True)
            thread.start()
            self._thread = thread

    def _supervise(self) -> None:
        while True:
            folder = None
            try:
                scratch.clear()
                folder = Path(tempfile.mkdtemp(prefix=scratch.prefix(), dir=scratch.find_folder()))
                code = self._run(folder)
            except (OSError, RuntimeError, MemoryError, errors.NearError) as error:  # no room, threads or memory
                log.add(f"{self.called} could not be started ({error}).")
                code = None
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            with self._lock:
                if not self._continue(code):
                    self._thread = None
                    return

    def _run(self, folder: Path) -> int:
        """One process from start to end; returns its exit status."""
        (folder / "answers").touch()
        process: Any = subprocess.Popen(
            self._command(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=folder.parent, env=self._name_environment(folder),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0)
            | (getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0) if self._yields else 0))
        if self._yields and hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):  # it has ended, which is seen below
                os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        threading.Thread(target=_keep_lines, args=[process.stderr, self._is_worth_keeping], daemon=True).start()
        hung = threading.Timer(READY_WITHIN, process.kill)
        hung.daemon = True
        hung.start()
        outbox = Outbox(process.stdin, lambda: self._give_up(process))
        channel = protocol.Channel(process.stdout, outbox, incoming=folder / "answers", outgoing=folder / "requests")
        with self._lock:
            self._process, self._channel, self._expected = process, channel, False
            if self._stopping:
                process.kill()
        try:
            log.add(protocol.read_until_start(process.stdout).decode(errors="replace"))
            while (event := channel.receive()) is not None:
                if event["event"] == "hello":
                    hung.cancel()
                self._handle(event)
        except (OSError, MemoryError, *protocol.MALFORMED) as error:  # half a frame, as it died while it spoke, or none
            log.add(f"The worker's answer could not be read ({error!r}).")
            process.kill()
        finally:
            hung.cancel()
            code = process.wait()
            with self._lock:  # a job that comes from now on waits for the next process
                self._process = self._channel = None
                self.hello, self._taken = {}, set(self._jobs)
                self._known.clear()
                channel.close()
            outbox.close()
        return code

    def _command(self, folder: Path) -> list[str]:
        """What to run; folder holds the array files."""
        return make_command("near_core.worker", str(folder), str(os.getpid()), python=self.backend.python)

    def _name_environment(self, folder: Path) -> dict[str, str]:
        """Of the process, whose own temporary files go beside folder."""
        return os.environ | QUIET | {"TMPDIR": str(folder.parent)} | ({} if self._yields else DRAWING)

    def _is_worth_keeping(self, line: str) -> bool:
        """Whether a line that it printed goes to the log."""
        return True

    def _continue(self, code: int | None) -> bool:
        """After the process ended: whether another is wanted. Jobs that it took with it are given one more chance."""
        if self._stopping:
            self._stopping = False
            return self._wanted
        for job in [job for job in self._jobs.values() if job.is_cancelled]:  # the next process is spared it
            self._finish(job)
        lost = [job for number, job in self._jobs.items() if code is None or number in self._taken]
        if not self._expected:
            log.add(f"{self.called} ended unexpectedly ({describe_exit(code)}).")
            for job in lost:
                job.warning = errors.Message("{name} crashed and was started again; see the log in Check Setup.",
                                             name=self.called)
                job.crashes += 1
                if code is None:
                    self._finish(job, error=_not_started(self.called))
                elif job.crashes > 1:
                    self._finish(job, error=_crashed(self.called, code))
        return bool(self._jobs)

    def _handle(self, event: dict[str, Any]) -> None:
        """Raises one of protocol.MALFORMED for what answers no job: one that it was meant for would wait for ever."""
        kind = event["event"]
        if not (kind == "hello" or self._stopping or self._expected):
            answers.check(event, self._jobs[event["id"]].request)
        with self._lock:
            if self._stopping or self._expected:  # its jobs have ended, or go to the next
                return
            if kind == "hello":
                self.hello = event
                if self.backend.model:
                    self._tell({"op": "choose", "model": self.backend.model})
                for job in list(self._jobs.values()):
                    self._send(job)
                return
            job = self._jobs[event["id"]]
            if kind == "progress":
                job.phase, job.fraction = event["phase"], event["fraction"]
            elif kind == "preview":
                job.preview = event
            elif kind == "missing":
                self._known.difference_update(event["hashes"])
                if job.is_cancelled:  # the process has forgotten it: that came too late there
                    self._finish(job)
                else:
                    self._send(job)
            elif kind == "done":
                job.warning = errors.join(job.warning, event.get("warning", ""))
                self._finish(job, event)
            elif kind == "cancelled":
                self._finish(job, error=errors.Cancelled())
            else:
                self._finish(job, error=errors.NearError(event["what"], event["fix"]))

    def _send(self, job: JobHandle) -> None:
        try:
            for key, read in job.needs.items():
                if key not in self._known:
                    self._tell({"op": "put", "hash": key, **read()})
                    self._known.add(key)
            self._tell(job.request)
        except errors.NearError as error:  # no room for its arrays
            self._finish(job, error=error)
        except Exception as error:  # a bug of ours; a thread that died of it would leave the job waiting for ever
            self._finish(job, error=log.explain_bug(error))

    def _tell(self, message: dict[str, Any]) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def _give_up(self, process: subprocess.Popen) -> None:
        """Ends a process that listens no more; the supervisor sees that and sends its jobs to the next."""
        if not (self._stopping or self._expected):
            log.add(f"{self.called} could not be reached.")
        process.kill()

    def _finish(self, job: JobHandle, answer: dict[str, Any] | None = None, error: Exception | None = None) -> None:
        self._jobs.pop(job.request["id"], None)
        if job.is_cancelled:
            answer, error = None, errors.Cancelled()
        job.finish(answer, error)

    def _enforce(self, job: JobHandle) -> None:
        with self._lock:
            if job.done:
                return
            log.add(f"{self.called} did not stop in time and is started again.")
            self._expected = True
            self._finish(job, error=errors.Cancelled())
            self.hello = {}  # nothing more is sent to it
            if self._process is not None:
                self._process.kill()


def make_command(module: str, *arguments: str, python: str = "") -> list[str]:
    """What runs a package of near_core in another process. python: "" for Blender's own."""
    return [python or find_interpreter(), "-I", "-X", "utf8", "-c", _BOOT, json.dumps(_path()), module, *arguments]


def _path() -> tuple[tuple[int, ...], list[str]]:
    """This Python's version and where it finds packages, ours first."""
    return sys.version_info[:2], [str(PATH), *filter(os.path.isdir, sys.path)]


def _keep_lines(stream, is_worth_keeping: Callable[[str], bool]) -> None:
    for line in stream:
        if is_worth_keeping(text := line.decode(errors="replace")):
            log.add(text)


def _crashed(called: str, code: int) -> errors.NearError:
    return errors.NearError("{name} crashed twice ({reason}).",
                            "Save your work, try a smaller picture, and see the log in Check Setup.", name=called,
                            reason=describe_exit(code))


def _not_started(called: str) -> errors.NearError:
    return errors.NearError("{name} could not be started.", "See the log in Check Setup.", name=called)


def describe_exit(code: int | None) -> str:
    """An exit status in words; None where there was no process."""
    if code is None:
        return errors.Message("it did not start")
    if code == -9:
        return errors.Message("it was killed, often because memory ran out")
    return errors.Message("signal {number}", number=-code) if code < 0 else f"exit status {code}"


def find_interpreter() -> str:
    """Blender's own Python as a program. sys.executable is Blender itself in some builds."""
    home = Path(sys.base_exec_prefix)
    folders = (home / "bin", home)
    found = (path for folder in folders for path in sorted(folder.glob("python3*")) + sorted(folder.glob("python.exe")))
    candidates = [Path(sys.executable or ""), *found]
    for path in candidates:
        if path.name.lower().startswith("python") and os.access(path, os.X_OK):
            return str(path)
    raise _not_started(WorkerProcess.called)
