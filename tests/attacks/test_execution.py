"""Nothing is executed because of a file's content."""

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
