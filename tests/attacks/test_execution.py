"""Nothing is executed, fetched or written because of a file's content, and nothing else is opened."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
PLANE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl a\nf 1/1 2/2 3/3\n"


def photo(folder: Path) -> str:
    (folder / "photo.png").write_bytes(POSTSCRIPT)
    return f"image.read_photo({str(folder / 'photo.png')!r})"


def lens(folder: Path) -> str:
    (folder / "photo.jpg").write_bytes(POSTSCRIPT)
    return f"image.read_field_of_view({str(folder / 'photo.jpg')!r}); raise NearError('None.', 'None.')"


def obj(folder: Path) -> str:
    (folder / "a.png").write_bytes(POSTSCRIPT)
    (folder / "a.mtl").write_text("newmtl a\nmap_Kd a.png\n")
    (folder / "a.obj").write_text("mtllib a.mtl\n" + PLANE)
    return f"mesh.load({str(folder / 'a.obj')!r}); raise NearError('None.', 'None.')"


def glb(folder: Path) -> str:
    from tests.gltf import TRIANGLE, gltf
    uri = "data:image/png;base64," + base64.b64encode(POSTSCRIPT).decode()
    gltf(folder / "a.gltf", {"POSITION": TRIANGLE, "TEXCOORD_0": TRIANGLE[:, :2]},
         material={"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}},
         header={"images": [{"uri": uri}], "textures": [{"source": 0}]})
    return f"mesh.load({str(folder / 'a.gltf')!r})"


@pytest.mark.skipif(os.name == "nt", reason="puts a shell script in Ghostscript's place")
@pytest.mark.parametrize("make", [photo, lens, obj, glb])
def test_postscript_under_another_name_is_not_run(tmp_path, make):
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "bin" / "gs").chmod(0o755)
    script = f"""
from near_core import image, mesh
from near_core.errors import NearError
try:
    {make(tmp_path)}
except NearError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"})
    assert done.stdout == "refused\n", done.stderr
    assert not (tmp_path / "ran").exists()


LISTENING = """
import sys, warnings
from pathlib import Path
from tests.attacks.targets import TARGETS

HARMLESS = ("array.", "builtins.id", "compile", "import", "object.")
folder, listening, heard = sys.argv[1], False, set()


def hear(event, arguments):
    read = event == "open" and not arguments[2] & 3 and str(arguments[0]).startswith(folder)
    if listening and not read and not event.startswith(HARMLESS):
        heard.add(f"{event} {arguments}"[:200])


def read(target, data):
    global listening
    path = Path(folder, "case" + target.suffix)
    for again in (False, True):  # at first libraries look around themselves
        path.write_bytes(data)
        listening = again
        try:
            target.read(path)
        except target.refusal:
            pass
        finally:
            listening = False


warnings.simplefilter("ignore")
sys.addaudithook(hear)
for name in sys.argv[2:]:
    for data in (*TARGETS[name].intact(), *(TARGETS[name].damage(number, 1) for number in range(25))):
        read(TARGETS[name], data)
sys.exit(", ".join(heard) or 0)
"""
FILES = ["near", "npz", "glb", "obj", "ply", "png", "jpeg", "webp", "exr", "hdr", "camera"]


def test_reading_opens_the_file_alone_and_writes_fetches_and_runs_nothing(tmp_path):
    """As Python's audit hooks tell of intact and damaged files of every kind."""
    done = subprocess.run([sys.executable, "-c", LISTENING, tmp_path, *FILES], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1000:]
    assert {path.stem for path in tmp_path.iterdir()} == {"case"}, "libraries leave nothing beside it"
