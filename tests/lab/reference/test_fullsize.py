"""A published example asset through networks of the published sizes, from a checkpoint folder to a picture."""
import json
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")

from near_core import image
from tests.checkpoints import write_full

RENDER = """
import json, resource, sys
import numpy as np
from near_core import asset, image
from near_core.scene import Environment, Instance
from near_core.published.renderer import PublishedRenderer
from near_core.scene.camera import orbit
checkpoint, latent, light, picture = sys.argv[1:]
item = asset.load(latent)
passes = PublishedRenderer(checkpoint, "cpu").render([Instance(item, np.eye(4))], orbit(30, 20, 2, 40, 512, 512),
                                             Environment(image.read(light)[..., :3]))
image.write_exr(picture, passes)
print(json.dumps({"voxels": len(item.coords), "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
                  "alpha": float(passes["Combined"][..., 3].max()), "finite": bool(all(np.isfinite(p).all() for p in
                  passes.values()))}))
"""


@pytest.fixture(scope="module")
def full_size(shared, tmp_path_factory):
    """A checkpoint folder with the published keys and shapes, random weights."""
    keys = shared / "fixtures/reference/state_dict_keys"
    if not keys.is_dir():
        pytest.skip("no reference fixtures: set NEAR_SHARED")
    return write_full(tmp_path_factory.mktemp("checkpoint"), keys)


@pytest.mark.slow
def test_the_largest_example_renders_within_eight_gigabytes(shared, tmp_path, full_size):
    latent = max((shared / "data/near_examples/slats").glob("*.npz"), key=lambda path: path.stat().st_size)
    light = next((shared / "data/near_examples/hdris").glob("*.exr"))
    done = subprocess.run([sys.executable, "-c", RENDER, full_size, latent, light, tmp_path / "picture.exr"],
                          capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    print(result)
    assert result["voxels"] > 17_000 and result["gb"] < 8 and result["finite"] and result["alpha"] > 0.5
    assert (tmp_path / "picture.exr").stat().st_size > 100_000


BLENDER = """
import json, sys, time
from pathlib import Path
import bpy, numpy as np
import near_blender
from near_blender import client
from near_blender._core import ADDON
checkpoint, latent, light, picture = sys.argv[1:]
near_blender.register()
try:
    entry = bpy.context.preferences.addons.new()
    entry.module = ADDON
    preferences = entry.preferences
    preferences.python, preferences.checkpoint, preferences.model = sys.executable, checkpoint, "PUBLISHED"
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene, world = bpy.context.scene, bpy.data.worlds.new("World")
    scene.world, world.use_nodes = world, True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    texture = nodes.new("ShaderNodeTexEnvironment")
    texture.image = bpy.data.images.load(light)
    links.new(texture.outputs[0], nodes["Background"].inputs["Color"])
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location, camera.rotation_euler = (0.95, -1.65, 0.7), (1.222, 0, 0.5236)
    scene.collection.objects.link(camera)
    scene.camera, scene.render.engine, scene.render.film_transparent = camera, "NEAR", True
    scene.render.resolution_x = scene.render.resolution_y = 512
    scene.render.image_settings.file_format, scene.render.filepath = "OPEN_EXR", picture
    bpy.ops.near.import_asset(filepath=latent)
    seconds = []
    for turn in (0, 0, 0.1):
        camera.location[2] += turn
        start = time.perf_counter()
        bpy.ops.render.render(write_still=turn == 0)
        seconds.append(round(time.perf_counter() - start, 1))
    status = Path(f"/proc/{client.get_worker().hello['pid']}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1e6
    print(json.dumps({"seconds": seconds, "worker_gb": peak, "voxels": len(near_blender.asset.payload.decode_asset(
        bpy.context.object).coords)}), flush=True)
finally:
    near_blender.unregister()
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the worker's memory from /proc")
@pytest.mark.parametrize("number", range(3))
def test_the_published_examples_render_in_blender(shared, tmp_path, full_size, number):
    pytest.importorskip("bpy")
    latents = sorted((shared / "data/near_examples/slats").glob("*.npz"), key=lambda path: path.stat().st_size)
    light = next((shared / "data/near_examples/hdris").glob("studio*.exr"))
    picture = tmp_path / "picture.exr"
    done = subprocess.run([sys.executable, "-c", BLENDER, full_size, latents[number], light, picture],
                          capture_output=True, text=True, timeout=900)
    assert done.returncode == 0 and "Error" not in done.stdout, done.stdout + done.stderr
    result = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    print(result)
    alpha = image.read(picture)[..., 3]
    assert result["worker_gb"] <= 8 and alpha[256, 256] > 0.5 and alpha[0, 0] == 0 and 0.02 < (alpha > 0.5).mean() < 0.9
