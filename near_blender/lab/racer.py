"""One renderer of a race, for `near_core bench`: Blender with NeAR or with Cycles, that draws when it is told to.

    python racer.py near|cycles        also in Blender's -b, after `--`

Requests are lines of JSON on standard input, answers are marked lines on standard output (near_core/lab/bench/racers.py
has the other end): `open` brings a subject onto the stage, `draw` draws it and says how long `render.render` took.
"""

import json
import math
import os
import sys
import time
from pathlib import Path

import bpy
import dataset  # type: ignore[import-not-found]  # beside this file, which runs as a script
import numpy as np
from mathutils import Matrix, Vector

ROOT = Path(__file__).resolve().parents[2]
STEP = 1e-6  # radians that the camera turns before each picture: none shows it, and nothing is drawn from memory


class Racer:
    """engine: NEAR or CYCLES."""

    def __init__(self, engine):
        self.engine = engine
        if engine == "NEAR":
            sys.path.insert(0, str(ROOT))
            import near_blender
            near_blender.register()

    def open(self, request):
        """A subject: a scene file, whose objects marked near_asset become assets; or a model alone under a map."""
        if request["scene"]:
            bpy.ops.wm.open_mainfile(filepath=request["scene"])
            if self.engine == "NEAR":
                convert(bpy.context.scene)
        else:
            self._open_model(request)
        scene = bpy.context.scene
        scene.render.engine = self.engine
        scene.render.use_persistent_data = True
        scene.render.resolution_percentage = 100
        scene.render.threads_mode = "AUTO"
        self.view = scene.camera.matrix_world.copy()
        self.drawn = 0
        return {}

    def _open_model(self, request):
        stage = dataset.CyclesStage({"resolution": 64, "samples": 32, "threads": os.cpu_count(), "gbuffer": False,
                                     "hdris": ""})
        stage.load(request["model"])
        if self.engine == "NEAR":
            bpy.data.batch_remove([item for item in bpy.data.objects if item != stage.camera])
            bpy.ops.near.import_asset(filepath=request["asset"])
            bpy.context.object.matrix_world = Matrix()
        stage.light({"hdri": request["hdri"], "hdri_rotation_deg": request["turn"]})
        stage.camera.matrix_world = Matrix(request["camera"])
        stage.camera.data.sensor_fit, stage.camera.data.angle = "VERTICAL", request["fov"]
        bpy.context.view_layer.update()

    def draw(self, request):
        """A picture from where the camera has not been. samples, denoiser: "", FAST or HIGH, of all that Cycles draws,
        for NeAR too. around: degrees that it has gone around the world's Z axis."""
        scene = bpy.context.scene
        scene.render.resolution_x, scene.render.resolution_y = request["size"]
        set_samples(scene.cycles, request["samples"], request["denoiser"])
        if self.engine == "NEAR":
            scene.near.samples, scene.near.denoise = request["samples"], bool(request["denoiser"])
        self.drawn += 1
        turned = self.view @ Matrix.Rotation(self.drawn * STEP, 4, "Y")
        scene.camera.matrix_world = Matrix.Rotation(math.radians(request["around"]), 4, "Z") @ turned
        bpy.context.view_layer.update()
        copying = Copying() if self.engine == "NEAR" else None
        start, worked = time.perf_counter(), read_processor_seconds()
        bpy.ops.render.render()
        seconds, worked = time.perf_counter() - start, read_processor_seconds() - worked
        if request["out"]:
            settings = scene.render.image_settings
            settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
            bpy.data.images["Render Result"].save_render(request["out"], scene=scene)
        return {"seconds": seconds, "processor": worked, "copying": copying.stop() if copying else 0.0}


class Copying:
    """Seconds that the passes take on their way into Blender."""

    def __init__(self):
        from near_blender.engine import passes
        self.passes, self.write, self.seconds = passes, passes.write, 0.0
        passes.write = self._write

    def _write(self, *arguments):
        start = time.perf_counter()
        self.write(*arguments)
        self.seconds += time.perf_counter() - start

    def stop(self):
        self.passes.write = self.write
        return self.seconds


def read_processor_seconds():
    """What this process and those that it started have worked so far, 0 where the system does not tell."""
    parents, worked = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(stat.parent.name)], worked[int(stat.parent.name)] = int(fields[1]), sum(map(int, fields[11:13]))
    mine = {os.getpid()}
    while grown := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= grown
    return sum(worked.get(pid, 0) for pid in mine) / os.sysconf("SC_CLK_TCK") if worked else 0.0


def set_samples(cycles, samples, denoiser):
    """Fixed samples on the processor, with or without OpenImageDenoise of a quality."""
    cycles.device, cycles.use_adaptive_sampling, cycles.samples = "CPU", False, samples
    cycles.use_denoising = bool(denoiser)
    if denoiser:
        cycles.denoiser, cycles.denoising_input_passes = "OPENIMAGEDENOISE", "RGB_ALBEDO_NORMAL"
        cycles.denoising_quality = denoiser
        cycles.denoising_prefilter = "ACCURATE" if denoiser == "HIGH" else "FAST"


def convert(scene):
    """Every object marked near_asset becomes a neural asset in its place; those of one mesh share an asset."""
    made = {}
    for source in [each for each in scene.objects if each.get("near_asset")]:
        if source.data.name not in made:
            before = set(bpy.data.objects)
            bpy.ops.near.create_asset_from_mesh(object_name=source.name)
            (twin,) = set(bpy.data.objects) - before
            bpy.context.view_layer.update()
            twin.matrix_world = Matrix.Translation(find_middle(source) - find_middle(twin)) @ twin.matrix_world
            bpy.context.view_layer.update()
            made[source.data.name] = twin, source.matrix_world.inverted() @ twin.matrix_world
        else:
            twin = made[source.data.name][0].copy()
            scene.collection.objects.link(twin)
        twin.matrix_world = source.matrix_world @ made[source.data.name][1]
        source.hide_render = True


def find_middle(item):
    """The middle of an object's bounds, world."""
    corners = np.array([item.matrix_world @ Vector(corner) for corner in item.bound_box])
    return Vector((corners.min(0) + corners.max(0)) / 2)


def main(engine):
    """Answers requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")  # Blender prints to standard output; the answers keep it for themselves
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    racer = Racer(engine)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(racer, request.pop("op"))(request)
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        answers.write("near " + json.dumps(answer) + "\n")
        answers.flush()
    if engine == "NEAR":  # the workers must be gone before Python ends, or bpy hangs
        import near_blender
        near_blender.unregister()


if __name__ == "__main__":
    main(sys.argv[-1].upper())
