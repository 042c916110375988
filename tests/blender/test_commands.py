"""`blender --command near`, and several processes on one file."""

import signal
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
import stage

from near_blender import commands
from near_core import asset as assets
from near_core.errors import NearError
from tests.processes import begin

FRAMES = """
import sys
import bpy, near_blender
near_blender.register()
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
scene = bpy.context.scene
scene.frame_start, scene.frame_end = int(sys.argv[2]), int(sys.argv[3])
bpy.ops.render.render(animation=True)
near_blender.unregister()
"""


def test_check_says_what_works_and_what_does_not(capfd, monkeypatch):
    assert commands.run(["check"]) == 0
    assert "WRONG" not in capfd.readouterr().out

    def fail(*_):
        raise NearError("The kernels are missing.", "Install NeAR again.")

    monkeypatch.setattr(commands.setup, "_check_kernels", fail)
    assert commands.run(["check"]) == 1
    assert "WRONG The kernels are missing." in capfd.readouterr().out


def test_the_command_line_of_near_core_is_there(ball, tmp_path, capfd):
    assets.save(ball, tmp_path / "ball.near")
    assert commands.run(["info", str(tmp_path / "ball.near")]) == 0
    assert "Ball" in capfd.readouterr().out
    assert commands.run(["render", "--asset", str(tmp_path / "missing.near"), "--env", "1,1,1", "--out",
                         str(tmp_path / "a.png")]) == 2
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"no picture")
    assert commands.run(["create", "--folder", str(tmp_path / "photos"), "--out", str(tmp_path)]) == 2
    assert "0 of 1 made" in capfd.readouterr().out
    assert commands.run(["paint"]) == 2 and commands.run([]) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells the child")
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_command_started_ends_with_it(ball, tmp_path, by):
    """A farm that cancels a job ends Blender alone; nothing is written afterwards."""
    assets.save(ball, tmp_path / "ball.near")
    words = ["render", "--asset", str(tmp_path / "ball.near"), "--env", "1,1,1", "--size", "8192x8192", "--out",
             str(tmp_path / "a.exr")]
    with begin([sys.executable, "-c", f"from near_blender import commands; commands.run({words})"],
               cwd=Path(__file__).parents[2],
               preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL)) as blender:
        blender.send_signal(by)
        _, said = blender.communicate(timeout=60)  # until the child has ended, too
    assert said.endswith("near_core: stopped.\n"), said
    assert [path.name for path in tmp_path.iterdir()] == ["ball.near"]


@pytest.mark.slow
def test_two_processes_share_the_frames_of_one_file(ball, tmp_path):
    scene = stage.make_stage(32, 24)
    ob = stage.add_asset(ball)
    for frame, turn in ((1, 0.0), (4, 3.0)):
        ob.rotation_euler.z = turn
        ob.keyframe_insert("rotation_euler", frame=frame)
    stage.set_format(scene, "OPEN_EXR", "32")
    scene.render.filepath = str(tmp_path / "frame_")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    root = Path(__file__).parents[2]
    running = [subprocess.Popen([sys.executable, "-c", FRAMES, str(tmp_path / "scene.blend"), first, last], cwd=root)
               for first, last in (("1", "2"), ("3", "4"))]
    assert [process.wait(300) for process in running] == [0, 0]
    pictures = [bpy.data.images.load(str(tmp_path / f"frame_{frame:04}.exr")) for frame in range(1, 5)]
    values = [np.array(picture.pixels[:]) for picture in pictures]
    assert all(np.isfinite(each).all() and each.any() for each in values)
    assert len({each.tobytes() for each in values}) == 4
