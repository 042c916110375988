"""Whom the command line speaks to, and who ends it: closed, full and foreign streams, signals, a folder that is
gone."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from near_core import asset, image
from near_core.commands import cli, info, terminal
from near_core.errors import NearError
from tests.processes import begin
from tests.random_assets import some_asset

ROOT = Path(__file__).resolve().parents[2]
RENDER = "render --asset a.near --env 1,1,1 --size 24x16 --out a.exr".split()

if os.name == "nt":
    pytest.skip("a shell of Unix closes the streams", allow_module_level=True)


def run(folder: Path, words: list[str], how: str = "", **variables: str) -> subprocess.CompletedProcess:
    """The command in a shell that does `how` with its streams."""
    return subprocess.run(["sh", "-c", f'exec "$@" {how}', "sh", sys.executable, "-m", "near_core", *words], cwd=folder,
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT), **variables})


@pytest.fixture
def folder(tmp_path) -> Path:
    asset.save(some_asset(), tmp_path / "a.near")
    return tmp_path


@pytest.mark.parametrize("how", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_who_does_not_listen_gets_the_picture_all_the_same(folder, how):
    """As under a service: what a library prints must not get into the file that has the number of standard error."""
    assert run(folder, RENDER, how).returncode == 0
    assert image.read(folder / "a.exr").shape == (16, 24, 4)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is full")
@pytest.mark.parametrize("words", [["info", "a.near"], ["info", "--json"], ["render", "--help"], ["--help"]])
def test_an_answer_that_finds_no_room_is_said(folder, words):
    done = run(folder, words, ">/dev/full")
    assert done.returncode == 2
    assert done.stderr == ("near_core: The answer could not be written (No space left on device). "
                           "Send it to another place.\n")


def test_names_that_an_encoding_lacks_are_answered(folder):
    """As on a Windows whose output goes to a file."""
    asset.save(replace(some_asset(), name="碗"), folder / "a.near")
    done = run(folder, ["info", "a.near"], PYTHONIOENCODING="cp1252")
    assert done.returncode == 0 and "\\u7897" in done.stdout


def test_a_folder_that_is_gone_is_said(folder):
    (folder / "gone").mkdir()
    done = subprocess.run(["sh", "-c", 'cd gone && rmdir ../gone && exec "$@"', "sh", sys.executable, "-m", "near_core",
                           "render", "--asset", folder / "a.near", *RENDER[3:]], cwd=folder, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert done.stderr == "near_core: The folder that this runs in is gone. Go to another one.\n"


def test_an_instruction_set_that_there_is_none_of_is_said(folder):
    done = run(folder, RENDER, NEAR_ISA="mmx")
    assert done.returncode == 2 and "fault" not in done.stderr
    assert "The variable NEAR_ISA is 'mmx'. Set it to one of baseline, avx2, avx512, or not at all." in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_ended_leaves_no_file(folder, number):
    """As by a farm, or with its terminal."""
    command = [sys.executable, "-m", "near_core", *RENDER[:5], "--size", "4096x4096", "--out", folder / "a.exr"]
    with begin(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
               preexec_fn=lambda: signal.signal(number, signal.SIG_DFL)) as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors.endswith("near_core: stopped.\n") and "Traceback" not in errors
    assert [path.name for path in folder.iterdir()] == ["a.near"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_ended_while_it_loads_says_so_in_a_line(folder, number):
    """From the first line of ours on; before it is Python's own start."""
    script = ("import os, runpy, signal, sys\nsys.argv = ['near_core', 'info']\n"
              "sys.setprofile(lambda frame, event, _: event == 'call' and frame.f_code.co_filename.endswith('cli.py')\n"
              "               and os.kill(os.getpid(), int(os.environ['NUMBER'])))\n"
              "runpy.run_module('near_core', run_name='__main__')")
    for how, said in (("", "near_core: stopped.\n"), ("2>&-", "")):  # nobody may listen
        done = subprocess.run(["sh", "-c", f'exec "$@" {how}', "sh", sys.executable, "-c", script], cwd=folder,
                              capture_output=True, text=True, timeout=60,
                              env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBER": str(int(number))},
                              preexec_fn=lambda: signal.signal(number, signal.default_int_handler))
        assert (done.returncode, done.stderr) == (130, said)


def test_a_signal_that_comes_twice_breaks_nothing_off(monkeypatch):
    """One of the terminal's and one of whoever started it; a person's next Ctrl-C counts again."""
    monkeypatch.setattr(terminal, "stopped", threading.Event())
    monkeypatch.setattr(terminal, "_heeded", -math.inf)
    with pytest.raises(KeyboardInterrupt):
        terminal.stop()
    terminal.stop()
    monkeypatch.setattr(terminal, "_heeded", time.monotonic() - 2)
    with pytest.raises(KeyboardInterrupt):
        terminal.stop()


def test_what_a_library_makes_of_being_ended_is_not_said(monkeypatch, capsys):
    """onnxruntime, interrupted while it is loaded, says that it cannot be."""
    def run(_):
        with contextlib.suppress(KeyboardInterrupt):
            terminal.stop()
        raise NearError("onnxruntime is not there.", "Reinstall the add-on.")

    monkeypatch.setattr(info, "run", run)
    monkeypatch.setattr(terminal, "stopped", threading.Event())
    monkeypatch.setattr(terminal, "_heeded", -math.inf)
    monkeypatch.setattr(cli, "stopped", terminal.stopped)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr().err == "near_core: stopped.\n"


def test_nohup_is_heeded(folder):
    """The command began where its terminal's end was to be ignored."""
    script = "import os, signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nos.execv(sys.argv[1], sys.argv[1:])"
    with begin([sys.executable, "-c", script, sys.executable, "-m", "near_core", *RENDER], cwd=folder,
               env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
    assert process.returncode == 0 and (folder / "a.exr").is_file()
