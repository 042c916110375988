"""Feeds damaged input to readers in a child process that may not take more than its share of memory and time.

`python -m tests.attacks.hunt TARGET SEED COUNT` hunts by hand.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from near_core.errors import NearError

ROOT = Path(__file__).resolve().parents[2]
SILENCE = 300.0  # seconds until a child that says nothing is taken for dead


@dataclass(frozen=True)
class Input:
    """An input for the reader `target`: number `number` of what a seed makes, or a file's content."""

    target: str
    seed: int = 0
    number: int = 0
    file: str = ""

    def make(self) -> bytes:
        """Its bytes."""
        from tests.attacks.targets import TARGETS
        return Path(self.file).read_bytes() if self.file else TARGETS[self.target].damage(self.number, self.seed)


def hunt(inputs: list[Input]) -> list[str]:
    """Has readers read inputs; a line for each on which one did anything but read it or say what is wrong with it."""
    faults: list[str] = []
    first = 0
    while first < len(inputs):
        told, code, errors = _watch(inputs[first:])
        for number, what in told:
            faults += [f"{inputs[first + number]}: {what}"] if what else []
        if code == 0:
            return faults
        if not told:
            raise RuntimeError(f"the child could not start:\n{errors}")
        ended = "hangs" if code in (None, -signal.SIGPROF) else f"ends the process ({code})"
        first += told[-1][0]
        faults.append(f"{inputs[first]}: {ended} {errors[-300:]}")
        first += 1
    return faults


def _watch(inputs: list[Input]) -> tuple[list[tuple[int, str]], int | None, str]:
    """One child: (number, fault or "") as it told them, its exit status (None: it hung), what it printed."""
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as listed:
        json.dump([asdict(each) for each in inputs], listed)
        listed.seek(0)
        child = subprocess.Popen([sys.executable, "-m", "tests.attacks.hunt"], cwd=ROOT, text=True, stdin=listed,
                                 stdout=subprocess.PIPE, stderr=errors)
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_forward, args=(child.stdout, lines), daemon=True)
        reader.start()
        told, code = [], None
        try:
            while (line := lines.get(timeout=SILENCE)) is not None:
                number, _, what = line.partition(" ")
                told.append((int(number), what.strip()))
            code = child.wait()
        except queue.Empty:
            child.kill()
            child.wait()
        reader.join()
        child.stdout.close()
        errors.seek(0)
        return told, code, errors.read()


def _forward(stream, lines: queue.Queue) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def is_said_well(error: NearError) -> bool:
    """Whether an error says in two sentences on one line what is wrong and what to do."""
    return error.what.endswith(".") and error.fix.endswith(".") and "\n" not in str(error) and len(str(error)) < 500


def read(target, data: bytes, folder: str, intact: bool = False) -> str:
    """What is wrong with how a reader takes some bytes, "" for nothing."""
    path = Path(folder) / f"case{target.suffix}"
    path.write_bytes(data)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + target.memory * 2**20, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_PROF, target.seconds)
    try:
        target.read(path)
    except target.refusal as error:
        if intact:
            return f"is refused: {error}"
        if "memory" in (error.what.template if isinstance(error, NearError) else str(error)):  # a file may say it, too
            return f"takes more than {target.memory} MB: {error}"
        if isinstance(error, NearError) and not is_said_well(error):
            return f"says {str(error)[:300]!r}"
    except MemoryError:
        return f"takes more than {target.memory} MB"
    except BaseException as error:
        return f"{type(error).__name__} at {_place(error)}: {str(error)[:200]!r}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return ""


def _place(error: BaseException) -> str:
    """The last line of ours that an error came through."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and ".venv" not in path.parts:
            place = f"{path.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _run(inputs: list[Input]) -> None:
    import warnings

    from tests.attacks.targets import TARGETS, lower_limits
    warnings.simplefilter("ignore")
    lower_limits()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print what they meet
    with tempfile.TemporaryDirectory() as folder:
        for name in {each.target for each in inputs}:
            for data in TARGETS[name].intact():  # what is loaded at the first use does not count
                if said := read(TARGETS[name], data, folder, intact=True):
                    raise SystemExit(f"an intact example of {name} {said}")
        for number, each in enumerate(inputs):
            out.write(f"{number}\n")
            if what := read(TARGETS[each.target], each.make(), folder):
                out.write(f"{number} {what}\n")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        found = hunt([Input(sys.argv[1], int(sys.argv[2]), number) for number in range(int(sys.argv[3]))])
        print(*found, f"{len(found)} faults", sep="\n")
    else:
        _run([Input(**each) for each in json.load(sys.stdin)])
