"""A farm's job, command by command, with the blender executable: the check, frames with flags, and what stops it.

The arguments are those of docs/flamenco/near_render.js.
"""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.gui, pytest.mark.slow]
INSTALL = """
import bpy
bpy.ops.extensions.package_install_files(filepath={archive!r}, repo="user_default", enable_on_install=True)
bpy.ops.wm.save_userpref()
bpy.data.objects.remove(bpy.data.objects["Cube"])
bpy.ops.near.add_sample()
bpy.context.scene.render.engine, bpy.context.scene.render.resolution_percentage = "NEAR", 10
bpy.ops.wm.save_as_mainfile(filepath={scene!r})
"""


def test_a_worker_checks_then_draws_its_chunk(blender, archive, packages, tmp_path):
    scene, wheels = tmp_path / "scene.blend", tmp_path / "scripts" / "startup" / "wheels.py"
    wheels.parent.mkdir(parents=True)
    wheels.write_text(f"import sys\nsys.path.append({str(packages)!r})\n\n\ndef register():\n    pass\n")
    (tmp_path / "install.py").write_text(INSTALL.format(archive=str(archive), scene=str(scene)))

    def run(*words: str, home: Path = tmp_path) -> subprocess.CompletedProcess:
        return blender(*words, HEADLESS="1", BLENDER_USER_RESOURCES=str(home), BIND=f"/tmp {ROOT} {packages}")

    assert run("-b", "-P", str(tmp_path / "install.py")).returncode == 0 and scene.is_file()
    assert run("--command", "near", "check").returncode == 0
    draw = ("-b", str(scene), "--render-output", str(tmp_path / "frame_####"), "--render-frame", "1..2", "--")
    assert run(*draw, "--near-quality", "draft", "--near-threads", "1", "--cycles-device", "CPU").returncode == 0
    assert sorted(path.name for path in tmp_path.glob("frame_*")) == ["frame_0001.png", "frame_0002.png"]
    assert run(*draw, "--near-qualty", "draft").returncode != 0
    assert run("--command", "near", "check", home=tmp_path / "bare").returncode != 0, "no add-on, no picture"
