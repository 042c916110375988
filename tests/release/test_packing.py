"""release.packing: dist is a repository, from which a real Blender installs and takes an update, by its own tool."""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from release import packing
from release.shell import DIST

NEWER = "99.0.0"
# what every Blender here begins with; `extension` is Blender's own command of that name
START = '''
import sys
import bpy
from pathlib import Path
from bl_pkg.bl_extension_cli import cli_extension_handler as extension
NEAR, home = "bl_ext.here.near", Path(sys.argv[1])

def draw(name):
    scene = bpy.context.scene
    scene.render.engine, scene.render.filepath = "NEAR", str(home / name)
    scene.render.resolution_x, scene.render.resolution_y = 96, 64
    bpy.ops.render.render(write_still=True)

def tell(*more):
    module = sys.modules[NEAR + ".near_core"]
    worker = sys.modules[NEAR + ".near_blender.client.client"].get_worker()
    print("TOLD", module.__version__, worker.check()["version"], *more, sep="|")
'''
INSTALL = START + '''
bpy.context.preferences.system.use_online_access = True
assert extension(["repo-add", "--clear-all", "--name", "Here", "--url", sys.argv[2], "here"]) == 0
assert extension(["install", "--sync", "--enable", "near"]) == 0
preferences = bpy.context.preferences
chosen = preferences.addons[NEAR].preferences
chosen.device, chosen.precision = "CPU", "FLOAT32"
kept = Path(bpy.utils.extension_path_user(NEAR, path="checkpoints", create=True), "note")
kept.write_text("an artist's")
(home / "library").mkdir()
preferences.filepaths.asset_libraries.new(name="Mine", directory=str(home / "library"))
bpy.ops.wm.save_userpref()
bpy.ops.near.add_sample()
bpy.context.object.name = "Kept Keg"
bpy.ops.near.mark_asset()
bpy.ops.wm.save_as_mainfile(filepath=str(home / "library/kegs.blend"))
tell(kept)
'''
UPDATE = START + '''
bpy.ops.wm.read_userpref()  # the module begins with factory settings
assert NEAR in bpy.context.preferences.addons
bpy.ops.wm.open_mainfile(filepath=str(home / "library/kegs.blend"))
draw("before.png")  # a worker is at work when the update comes
assert extension(["list", "--sync"]) == 0
assert extension(["update"]) == 0
draw("after.png")
tell()
'''
LATER = START + '''
bpy.ops.wm.read_userpref()
preferences = bpy.context.preferences
chosen = preferences.addons[NEAR].preferences
(library,) = (each for each in preferences.filepaths.asset_libraries if each.name == "Mine")
with bpy.data.libraries.load(str(Path(library.path, "kegs.blend")), link=True, assets_only=True) as (there, wanted):
    wanted.objects = there.objects
(keg,) = wanted.objects
bpy.context.scene.collection.objects.link(keg)
draw("later.png")
tell(keg.name, chosen.device, chosen.precision)
'''


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A web server's folder with the packed zips and their listing, and its address."""
    archives = sorted(DIST.glob("near-[0-9]*-py3??.zip"))
    if not archives:
        pytest.skip("nothing was packed: build.py package --platform all")
    folder = tmp_path_factory.mktemp("served")
    for archive in [*archives, DIST / "index.json"]:
        shutil.copy(archive, folder)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/index.json"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def raise_version(folder: Path) -> None:
    """Makes of each zip in a folder one of version NEWER, as a later release would."""
    for old in list(folder.glob("*.zip")):
        with zipfile.ZipFile(old) as before, zipfile.ZipFile(folder / f"near-{NEWER}-{old.name}", "w") as after:
            for entry in before.infolist():
                data = before.read(entry)
                if entry.filename in ("blender_manifest.toml", "near_core/__init__.py"):
                    data = re.sub(rb'^(_*version_*) = ".*"', rb'\1 = "%s"' % NEWER.encode(), data, flags=re.M)
                after.writestr(entry, data)
        old.unlink()
    packing.list_archives(folder)


def run_blender(program: str, home: Path, *words: str) -> str:
    """What a Blender with a home of its own prints."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "BLENDER"))}
    done = subprocess.run([sys.executable, "-c", program, str(home), *words], cwd=home, capture_output=True, text=True,
                          env=plain | {"BLENDER_USER_RESOURCES": str(home / "user"), "NO_COLOR": "1"}, timeout=300)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_blender_installs_from_dist_finds_an_update_and_keeps_what_the_artist_has(tmp_path, served):
    folder, address = served
    version = packing.read_version()
    told = re.search(r"^TOLD\|.*$", run_blender(INSTALL, tmp_path, address), re.M)[0].split("|")
    assert told[1:3] == [version, version]
    raise_version(folder)
    said = run_blender(UPDATE, tmp_path)
    assert f"near [outdated: {version} -> {NEWER}]" in said
    assert f"TOLD|{NEWER}|{NEWER}" in said  # in the Blender that was open, its worker too
    said = run_blender(LATER, tmp_path)
    assert f"TOLD|{NEWER}|{NEWER}|Kept Keg|CPU|FLOAT32" in said
    assert Path(told[3]).read_text() == "an artist's"
    before, after, later = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("before", "after", "later"))
    assert before[..., 3].mean() > 20 and np.array_equal(before, after) and later.shape == before.shape


@pytest.mark.slow
def test_the_listing_has_one_zip_for_each_blender_on_each_system(served):
    """Where two fit, Blender would take either."""
    def read(version: str) -> tuple[int, ...]:
        return tuple(map(int, version.split(".")))

    listed = [each for each in json.loads((served[0] / "index.json").read_text())["data"] if each["id"] == "near"]
    for platform in packing.PLATFORMS:
        for blender, python in (((4, 2, 0), "3.11"), ((5, 0, 1), "3.11"), ((5, 1, 0), "3.13"), ((5, 2, 3), "3.13")):
            fit = [each for each in listed if platform in each["platforms"] and python in each["python_versions"]
                   and read(each["blender_version_min"]) <= blender < read(each.get("blender_version_max", "9.0.0"))]
            assert len(fit) == 1, (platform, blender)
