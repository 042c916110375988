"""Blender's end of the worker: whatever happens to the process, jobs end in time and the next one works."""

import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import bpy
import pytest
from asking import SKY, halt, is_gone, pid_of, submit

from near_blender import log, scratch
from near_blender.client import worker_process
from near_core import DRAWING, errors
from tests.machine import bound_by_rights, slowness


def test_worker_tells_what_it_runs_on(worker):
    hello = worker.check(30)
    assert hello["python"].split(".")[:2] == [str(n) for n in sys.version_info[:2]] and hello["numpy"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses /proc")
def test_what_draws_keeps_each_product_of_matrices_to_one_thread(worker):
    given = Path(f"/proc/{pid_of(worker)}/environ").read_bytes().split(b"\0")
    assert DRAWING and {f"{name}={value}".encode() for name, value in DRAWING.items()} <= set(given)


def test_progress_and_result(worker, ball):
    job = submit(worker, ball)
    assert job.result()["passes"]["Combined"].shape == (32, 32, 4) and job.done and job.warning == ""


@pytest.mark.timing
def test_cancelled_job_ends_within_half_a_second(worker, ball):
    submit(worker, ball).result()
    job = submit(worker, ball, size=2000)
    time.sleep(0.1)
    start = time.monotonic()
    job.cancel()
    with pytest.raises(errors.Cancelled):
        job.result()
    assert time.monotonic() - start < 0.6 * slowness()
    assert submit(worker, ball).result()["passes"]


def test_an_answer_that_comes_after_its_job_was_cancelled_is_not_taken(worker, ball, monkeypatch):
    worker.check(30)
    tell = worker._tell
    monkeypatch.setattr(worker, "_tell", lambda message: message["op"] == "cancel" or tell(message))  # comes too late
    monkeypatch.setattr(worker_process, "CANCEL_WITHIN", 60)
    job = submit(worker, ball)
    job.cancel()
    with pytest.raises(errors.Cancelled):
        job.result()


@pytest.mark.parametrize("dies", [False, True])
def test_a_job_that_was_cancelled_is_not_sent_again(worker, ball, monkeypatch, dies):
    """Where the process asks for what it lacks, or dies, before it hears of it."""
    pid, tell, told = pid_of(worker), worker._tell, []
    monkeypatch.setattr(worker, "_tell", lambda message: message["op"] == "cancel" or (
        told.append((message["op"], message.get("id"))), tell(message)))
    monkeypatch.setattr(worker_process, "CANCEL_WITHIN", 60)
    worker._known = {ball.hash + "x", SKY.hash}
    halt(pid)
    job = worker.submit("render", instances=[{"asset": ball.hash + "x"}], needs={ball.hash + "x": dict})
    job.cancel()
    os.kill(pid, signal.SIGKILL if dies else signal.SIGCONT)
    with pytest.raises(errors.Cancelled):
        job.result()
    assert told == [("render", job.request["id"])]
    worker._known.clear()
    assert submit(worker, ball).result()["passes"]


@pytest.mark.timing
def test_worker_that_does_not_listen_is_replaced(worker, ball):
    pid = pid_of(worker)
    halt(pid)
    job, other = submit(worker, ball), submit(worker, ball)
    start = time.monotonic()
    job.cancel()
    with pytest.raises(errors.Cancelled):
        job.result()
    assert time.monotonic() - start < 0.6 * slowness()
    assert is_gone(pid) and other.wait(120), "nobody waits for ever"
    assert other.result()["passes"], "jobs that were not meant go on in the new process"
    assert other.warning == "" and pid_of(worker) != pid
    halt(pid := pid_of(worker))
    worker.stop()
    assert is_gone(pid)


def test_job_survives_one_crash_and_says_so(worker, ball):
    pid = pid_of(worker)
    halt(pid)
    job = submit(worker, ball)
    os.kill(pid, signal.SIGKILL)
    assert job.result()["passes"] and "crashed" in job.warning
    assert "killed" in log.get_text()


def test_second_crash_ends_the_job_in_words(worker, ball):
    first = pid_of(worker)
    halt(first)
    job = submit(worker, ball, size=3000)
    os.kill(first, signal.SIGKILL)
    while worker.hello.get("pid", first) == first:
        time.sleep(0.002)
    os.kill(worker.hello["pid"], signal.SIGKILL)
    with pytest.raises(errors.NearError, match="crashed twice.*Check Setup"):
        job.result()
    assert submit(worker, ball).result()["passes"], "the next job starts a new process"


def test_worker_killed_while_idle_is_started_by_the_next_job(worker, ball):
    os.kill(pid_of(worker), signal.SIGKILL)
    assert submit(worker, ball).result()["passes"]


def test_jobs_that_come_while_the_worker_dies_are_done_by_the_next(worker, ball, monkeypatch):
    submit(worker, ball).result()
    first, tidy = pid_of(worker), worker_process.shutil.rmtree
    slow = lambda *a, **k: (time.sleep(0.2), tidy(*a, **k))  # a slow disk
    monkeypatch.setattr(worker_process.shutil, "rmtree", slow)
    os.kill(first, signal.SIGKILL)
    while worker.hello.get("pid", first) == first:
        job = submit(worker, ball, channel="viewport 1")
        time.sleep(0.01)
    assert job.result()["passes"]


def test_assets_are_sent_once_and_again_when_the_worker_lost_them(worker, ball):
    submit(worker, ball).result()
    known = set(worker._known)
    assert known == {ball.hash, SKY.hash}
    os.kill(pid_of(worker), signal.SIGKILL)
    pid_of(worker)
    worker._known |= known  # believes that the new process has them
    assert submit(worker, ball).result()["passes"]


@pytest.mark.timing
def test_stopped_worker_leaves_nothing_behind(worker, ball):
    pid = pid_of(worker)
    job = submit(worker, ball, size=3000)
    start = time.monotonic()
    worker.stop()
    assert time.monotonic() - start < 2 * slowness()
    with pytest.raises(errors.Cancelled):
        job.result()
    if Path("/proc").is_dir():
        assert is_gone(pid)
    assert submit(worker, ball).result()["passes"], "and can be started again"


def test_job_after_a_stop_is_done_by_the_next_however_slowly_the_old_one_goes(worker, ball, monkeypatch):
    first, tidy = pid_of(worker), worker_process.shutil.rmtree
    slow = lambda *a, **k: (time.sleep(0.2), tidy(*a, **k))  # a slow disk
    monkeypatch.setattr(worker_process.shutil, "rmtree", slow)
    monkeypatch.setattr(worker_process, "END_WITHIN", 0.0)
    worker.stop()
    job = submit(worker, ball)
    assert job.result()["passes"] and job.warning == "" and pid_of(worker) != first
    worker.stop()
    assert pid_of(worker), "without a job, too"


def test_who_asks_does_not_wait_for_a_process_that_does_not_listen(worker, ball):
    pid, jobs = pid_of(worker), []
    halt(pid)
    fill = lambda: jobs.extend(submit(worker, ball, channel="viewport 1") for _ in range(200))  # more than a pipe holds
    thread = threading.Thread(target=fill)
    thread.start()
    thread.join(60)
    waits = thread.is_alive()
    os.kill(pid, signal.SIGCONT)
    thread.join()
    assert not waits and jobs[-1].result()["passes"] and pid_of(worker) == pid


@pytest.mark.skipif(os.name == "nt", reason="rights of another kind")
def test_nobody_else_may_look_into_the_array_files(home, worker, ball):
    submit(worker, ball).result()
    [folder] = home.iterdir()
    assert folder.stat().st_mode & 0o077 == 0 and list(folder.iterdir())


def test_no_interpreter_is_an_error_in_words(worker, ball, monkeypatch):
    worker.stop()
    monkeypatch.setattr(sys, "executable", "/nowhere/blender")
    monkeypatch.setattr(sys, "base_exec_prefix", "/nowhere")
    with pytest.raises(errors.NearError, match="could not be started"):
        submit(worker, ball).result()
    monkeypatch.undo()
    assert submit(worker, ball).result()["passes"]


def test_no_room_for_temporary_files_is_an_error_in_words(worker, ball, monkeypatch):
    worker.stop()
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(errors.NearError, match="could not be started"):
        submit(worker, ball).result()
    monkeypatch.undo()
    assert submit(worker, ball).result()["passes"]


def test_interpreter_is_found_where_sys_executable_is_blender(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/blender")
    assert Path(worker_process.find_interpreter()).name.startswith("python")


def test_newer_viewport_request_replaces_the_older(worker, ball):
    pid_of(worker)
    jobs = [submit(worker, ball, size=600, channel="viewport 1") for _ in range(4)]
    assert jobs[-1].result()["passes"]
    for job in jobs[:-1]:
        with pytest.raises(errors.Cancelled):
            job.result()


def test_temporary_files_go_where_the_preferences_say(tmp_path):
    paths = bpy.context.preferences.filepaths
    paths.temporary_directory = str(tmp_path)
    worker = worker_process.WorkerProcess()
    try:
        worker.check(60)
        assert [path.name.startswith(scratch.prefix()) for path in tmp_path.glob("near-*")] == [True]
        with scratch.make_folder("tiles") as folder:
            assert Path(folder).parent == tmp_path
    finally:
        worker.stop()
        paths.temporary_directory = ""
    assert not list(tmp_path.glob("near-*")) and scratch.find_folder() == tempfile.gettempdir()


@pytest.mark.parametrize("rights", [0, 0o500])
def test_where_the_preferences_name_a_folder_that_may_not_be_written_to_another_is_taken(tmp_path, rights):
    files = bpy.context.preferences.filepaths
    files.temporary_directory = str(tmp_path)
    try:
        assert Path(scratch.find_folder()) == tmp_path
        tmp_path.chmod(rights)
        with bound_by_rights():
            assert scratch.find_folder() == tempfile.gettempdir()
            with scratch.make_folder("tiles") as folder:
                assert Path(folder).is_relative_to(tempfile.gettempdir())
    finally:
        tmp_path.chmod(0o700)
        files.temporary_directory = ""
