"""Cycles renders one plan of `near_core render-dataset`. A script: `python dataset.py PLAN`, also in Blender's -b.

The plan is JSON (near_core/lab/datasets/cycles.py writes it). Every finished picture is one line on standard
output, so that the parent can show progress and knows what to leave out when a model takes Blender down.
"""

import json
import math
import os
import random
import sys

import bpy
from mathutils import Matrix, Vector

CLOSE_TRIES = 64  # rays that look for a surface to stand in front of
FRAME = 1.08  # the framing distance leaves this much room around the bounding sphere


def main(plan_path, messages):
    """Renders every job of the plan. messages: text file, one marked JSON object a line."""
    def tell(**message):
        messages.write("near " + json.dumps(message) + "\n")  # marked: Blender prints to the same place at its start
        messages.flush()

    with open(plan_path, encoding="utf-8") as file:
        plan = json.load(file)
    stage = CyclesStage(plan["settings"])
    for job in plan["jobs"]:
        tell(begin=job["asset"])
        try:
            stage.load(job["model"])
        except Exception as error:  # a file the importer can't read must not end the others
            tell(failed=job["asset"], reason=" ".join(str(error).split())[-200:])
            continue
        for picture in job["pictures"]:
            stage.look(picture["camera"])
            if picture["gbuffer"]:
                stage.render_gbuffer(os.path.join(job["folder"], str(picture["n"])))
            stage.light(picture)
            stage.render(os.path.join(job["folder"], f"{picture['n']}.exr"), last=picture is job["pictures"][-1])
            write_view(job, picture, stage.camera_json())
            tell(done=job["asset"], n=picture["n"])
    tell(finished=True)


class CyclesStage:
    """The scene that objects take turns on. settings: resolution, samples, threads, hdris (folder)."""

    def __init__(self, settings):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.settings = settings
        self.scene = scene = bpy.context.scene
        self.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
        scene.collection.objects.link(self.camera)
        scene.camera = self.camera
        self.camera.data.sensor_fit = "HORIZONTAL"
        self.camera.data.clip_start, self.camera.data.clip_end = 1e-3, 1e4
        self.maps = {}
        self._set_up_render()
        self._set_up_worlds()
        import addon_utils
        addon_utils.enable("io_scene_gltf2")

    def _set_up_render(self):
        render, cycles = self.scene.render, self.scene.cycles
        render.engine = "CYCLES"
        render.resolution_x = render.resolution_y = self.settings["resolution"]
        render.resolution_percentage = 100
        render.film_transparent = True
        render.threads_mode, render.threads = "FIXED", self.settings["threads"]
        cycles.device, cycles.use_adaptive_sampling, cycles.use_auto_tile = "CPU", False, False
        cycles.sample_clamp_direct = cycles.sample_clamp_indirect = 0
        cycles.denoiser, cycles.denoising_input_passes = "OPENIMAGEDENOISE", "RGB_ALBEDO_NORMAL"
        cycles.denoising_prefilter = "ACCURATE" if self.settings["samples"] >= 64 else "FAST"
        if hasattr(render.image_settings, "media_type"):  # from 5.0
            render.image_settings.media_type = "IMAGE"
        layer = self.scene.view_layers[0]
        layer.use_pass_normal = layer.use_pass_z = self.settings["gbuffer"]
        for name in ("basecolor", "material") if self.settings["gbuffer"] else ():
            layer.aovs.add().name = name

    def _set_up_worlds(self):
        self.map_world, self.uniform_world = bpy.data.worlds.new("map"), bpy.data.worlds.new("uniform")
        for world in (self.map_world, self.uniform_world):
            world.use_nodes = True
            world.cycles.sampling_method = "MANUAL"  # AUTOMATIC measures every new map again, 1.3 s each
            # as fine as the maps, whose suns are a texel or two wide; a finer one costs time at every change of light
            world.cycles.sample_map_resolution = 512 if self.settings["samples"] < 64 else 2048
        tree = self.map_world.node_tree
        background = tree.nodes["Background"]
        self.environment = tree.nodes.new("ShaderNodeTexEnvironment")
        self.mapping, coordinates = tree.nodes.new("ShaderNodeMapping"), tree.nodes.new("ShaderNodeTexCoord")
        tree.links.new(coordinates.outputs["Generated"], self.mapping.inputs["Vector"])
        tree.links.new(self.mapping.outputs["Vector"], self.environment.inputs["Vector"])
        tree.links.new(self.environment.outputs["Color"], background.inputs["Color"])

    def load(self, model):
        """Clears the stage and puts a GLB on it, centred, its longest side 1."""
        for collection in (bpy.data.objects, bpy.data.meshes, bpy.data.materials, bpy.data.images, bpy.data.armatures,
                           bpy.data.actions, bpy.data.lights, bpy.data.node_groups):
            gone = [item for item in collection if item != self.camera and item.name not in self.maps.values()]
            bpy.data.batch_remove(gone)
        bpy.ops.import_scene.gltf(filepath=model)
        for item in list(bpy.data.objects):
            item.animation_data_clear()
            if item.type in ("LIGHT", "CAMERA") and item != self.camera:
                bpy.data.objects.remove(item)
        for armature in bpy.data.armatures:
            armature.pose_position = "REST"
        shapes = [item for item in self.scene.objects if item.type == "MESH"]
        used = {modifier.object for item in shapes for modifier in item.modifiers if modifier.type == "ARMATURE"}
        shapes = [item for item in shapes if item.visible_get() or item in used]
        if not shapes:
            raise RuntimeError("no mesh in the file")
        low, high = self._bounds(shapes)
        extent = max(high - low)
        turn = Matrix.Scale(1 / extent, 4) @ Matrix.Translation(-(low + high) / 2)
        for item in self.scene.objects:
            if item.parent is None and item != self.camera:
                item.matrix_world = turn @ item.matrix_world
        self.radius = (high - low).length / extent / 2
        if self.settings["gbuffer"]:
            for material in bpy.data.materials:
                add_outputs(material)
        bpy.context.view_layer.update()

    def _bounds(self, shapes):
        depsgraph = bpy.context.evaluated_depsgraph_get()
        points = []
        for item in shapes:
            evaluated = item.evaluated_get(depsgraph)
            points += [evaluated.matrix_world @ Vector(corner) for corner in evaluated.bound_box]
        return (Vector(map(min, zip(*points))), Vector(map(max, zip(*points))))

    def look(self, view):
        """Places the camera. view: kind orbit|close, azimuth, elevation, fov in degrees, distance, seed.

        orbit: towards the origin; distance 1 frames the bounding sphere. close: towards a point of the surface;
        distance in radii of the bounding sphere.
        """
        fov, azimuth, elevation = (math.radians(view[key]) for key in ("fov", "azimuth", "elevation"))
        back = Vector((math.sin(azimuth) * math.cos(elevation), -math.cos(azimuth) * math.cos(elevation),
                       math.sin(elevation)))
        target, distance = Vector((0, 0, 0)), view["distance"] * FRAME * self.radius / math.sin(fov / 2)
        if view["kind"] == "close":
            target, distance = self._surface_point(back, random.Random(view["seed"])), view["distance"] * self.radius
        right = Vector((math.cos(azimuth), math.sin(azimuth), 0))
        matrix = Matrix((right, back.cross(right), back)).transposed().to_4x4()
        matrix.translation = target + distance * back
        self.camera.matrix_world = matrix
        self.camera.data.angle_x = fov
        bpy.context.view_layer.update()

    def _surface_point(self, back, chance):
        """A point that is seen from the direction `back`, at random; the origin where no ray finds one."""
        depsgraph = bpy.context.evaluated_depsgraph_get()
        for _ in range(CLOSE_TRIES):
            aside = Vector([chance.uniform(-self.radius, self.radius) for _ in range(3)])
            hit, point, *_ = self.scene.ray_cast(depsgraph, aside + 4 * self.radius * back, -back)
            if hit:
                return point
        return Vector((0, 0, 0))

    def light(self, picture):
        """Lights the stage with a turned map, or with the same radiance from everywhere."""
        if picture["hdri"] is None:
            self.scene.world = self.uniform_world
            background = self.uniform_world.node_tree.nodes["Background"]
            background.inputs["Color"].default_value = [picture["uniform"]] * 3 + [1]
            return
        if picture["hdri"] not in self.maps:
            loaded = bpy.data.images.load(os.path.join(self.settings["hdris"], picture["hdri"]))
            self.maps[picture["hdri"]] = loaded.name
        self.environment.image = bpy.data.images[self.maps[picture["hdri"]]]
        self.mapping.inputs["Rotation"].default_value[2] = math.radians(picture["hdri_rotation_deg"])
        self.scene.world = self.map_world

    def render(self, path, last):
        """The beauty picture: linear RGBA half, premultiplied, whole or not at all. last: of this object."""
        settings, cycles = self.scene.render.image_settings, self.scene.cycles
        # a new light or camera then costs no new sync of the object; Cycles must forget it before the next one comes,
        # whose images may lie at the same addresses and would show up with the old one's pixels
        self.scene.render.use_persistent_data = not last
        settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "16"
        settings.exr_codec = "DWAA" if self.settings["samples"] < 64 else "ZIP"
        cycles.samples, cycles.use_denoising, cycles.filter_width, cycles.max_bounces = \
            self.settings["samples"], True, 1.5, 12
        self._write(path)

    def render_gbuffer(self, stem):
        """Two multilayer files: STEM.aovs.exr, filtered as the beauty, and STEM.rays.exr, one ray per pixel centre."""
        settings, cycles = self.scene.render.image_settings, self.scene.cycles
        if hasattr(settings, "media_type"):
            settings.media_type = "MULTI_LAYER_IMAGE"
        settings.file_format, settings.color_depth = "OPEN_EXR_MULTILAYER", "32"
        self.scene.world = self.uniform_world
        cycles.use_denoising, cycles.max_bounces = False, 0
        for name, samples, width in (("aovs", self.settings["samples"], 1.5), ("rays", 1, 0.01)):
            cycles.samples, cycles.filter_width = samples, width
            self._write(f"{stem}.{name}.exr")
        if hasattr(settings, "media_type"):
            settings.media_type = "IMAGE"

    def _write(self, path):
        part = path + ".part.exr"
        self.scene.render.filepath = part
        bpy.ops.render.render(write_still=True)
        os.replace(part, path)

    def camera_json(self):
        rows = [[round(value, 7) for value in row] for row in self.camera.matrix_world]
        return {"matrix_world": rows, "fov_x_deg": round(math.degrees(self.camera.data.angle_x), 5),
                "resolution": [self.settings["resolution"]] * 2}


def add_outputs(material):
    """Makes a material write its Principled inputs to the passes basecolor and material (R roughness, G metallic)."""
    if not material.use_nodes:
        return
    tree = material.node_tree
    surface = next((node for node in tree.nodes if node.type == "BSDF_PRINCIPLED"), None)
    if surface is None:
        return
    joined = tree.nodes.new("ShaderNodeCombineXYZ")
    outputs = {}
    for name in ("basecolor", "material"):
        outputs[name] = tree.nodes.new("ShaderNodeOutputAOV")
        outputs[name].aov_name = name
    for source, target in (("Base Color", outputs["basecolor"].inputs["Color"]), ("Roughness", joined.inputs["X"]),
                           ("Metallic", joined.inputs["Y"])):
        socket = surface.inputs[source]
        if socket.is_linked:
            tree.links.new(socket.links[0].from_socket, target)
        else:
            target.default_value = socket.default_value
    tree.links.new(joined.outputs["Vector"], outputs["material"].inputs["Color"])


def write_view(job, picture, camera):
    """The view file; written last, it says that the picture is complete."""
    keys = ("n", "view", "light", "role", "hdri", "uniform", "hdri_rotation_deg", "world_strength")
    view = {"asset": job["asset"]} | {key: picture[key] for key in keys}
    view |= {"camera": camera, "image": f"{picture['n']}.exr"}
    path = os.path.join(job["folder"], f"{picture['n']}.json")
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(view, file, separators=(",", ":"))
    os.replace(path + ".part", path)


if __name__ == "__main__":
    channel = os.fdopen(os.dup(1), "w")  # Blender prints to standard output; the messages keep it for themselves
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    arguments = sys.argv[sys.argv.index("--") + 1:] if "--" in sys.argv else sys.argv[1:]
    main(arguments[0], channel)
