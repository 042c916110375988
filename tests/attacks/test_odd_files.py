"""What is under a file's name and is none, does not end, or has a name that nobody would give: it is said in two
sentences, soon, whichever reader meets it."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from near_core import asset, image, mesh
from near_core.commands import terminal
from near_core.errors import NearError
from tests.attacks.hunt import ROOT, is_said_well
from tests.machine import bound_by_rights
from tests.random_assets import some_asset

if sys.platform == "win32":
    pytest.skip("it has no such files", allow_module_level=True)

READERS = {".png": image.read_photo, ".exr": image.read, ".hdr": image.read, ".near": asset.load, ".npz": asset.load,
           ".glb": mesh.load, ".gltf": mesh.load, ".obj": mesh.load, ".ply": mesh.load,
           ".json": lambda path: terminal.read_cameras(path, None, None)}


def make_hole(path):
    """A file of 50 GB that takes no room."""
    with path.open("wb") as file:
        file.truncate(50 * 2**30)


WAYS = {"pipe": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero"), "folder": lambda path: path.mkdir(),
        "loop": lambda path: path.symlink_to(path), "hole": make_hole}


@pytest.fixture
def ending():
    """Fails a test of which a reader is still waiting after 20 seconds."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it is waited for"))
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("ending")
@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_file_or_has_no_end_is_said(tmp_path, suffix, way):
    """Of a pipe the reader would wait for ever, of a device it would take all memory."""
    path = tmp_path / f"a{suffix}"
    WAYS[way](path)
    with pytest.raises(NearError) as raised:
        READERS[suffix](path)
    assert is_said_well(raised.value) and f"a{suffix}" in str(raised.value)


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("shut", ["file", "folder"])
def test_what_may_not_be_read_is_called_that(tmp_path, suffix, shut):
    """It is not damaged."""
    path = tmp_path / "folder" / f"a{suffix}"
    path.parent.mkdir()
    path.write_bytes(b"nothing of this kind")
    (path if shut == "file" else path.parent).chmod(0)
    try:
        with bound_by_rights(), pytest.raises(NearError, match="Permission denied") as raised:
            READERS[suffix](path)
    finally:
        path.parent.chmod(0o700)
    assert is_said_well(raised.value) and f"a{suffix}" in str(raised.value)


@pytest.mark.parametrize("suffix", READERS)
def test_names_cannot_steer_a_terminal(tmp_path, suffix):
    path = tmp_path / f"a\nb\x1b[31m\x9b\u202ec{suffix}"
    path.write_bytes(b"nothing of this kind" * 4)
    with pytest.raises(NearError) as raised:
        READERS[suffix](path)
    assert is_said_well(raised.value) and f"a b?[31m??c{suffix}" in str(raised.value)


def test_what_a_file_says_of_itself_is_printed_in_its_line(tmp_path):
    told = []
    for name in ("Cup", "Cup\nvoxels              9\x1b[2J"):
        asset.save(replace(some_asset(), name=name), tmp_path / "a.near")
        told.append(subprocess.run([sys.executable, "-m", "near_core", "info", tmp_path / "a.near"], cwd=ROOT,
                                   capture_output=True, text=True, check=True).stdout)
    assert len(told[0].splitlines()) == len(told[1].splitlines()) and "\x1b" not in told[1]
