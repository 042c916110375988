"""Run by test_colorspace.py in a Blender of its own, with another OpenColorIO configuration: prints what became of
colours as JSON."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

import near_blender
from near_blender import colorspace
from near_blender.asset import proxy
from near_blender.operators import pictures
from near_blender.shaders import shader_nodes
from near_core import image as images
from near_core.asset import proxy_mesh

near_blender.register()
bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
found = {"space": colorspace.get_working_space()}
for name, is_float in (("painted", True), ("bytes", False)):
    image = bpy.data.images.new(name, 4, 4, float_buffer=is_float)
    color = colorspace.from_rec709(np.array([0.5, 0.2, 0.1])) if is_float else np.full(3, 0.5)
    image.pixels.foreach_set(np.tile(np.float32([*color, 1]), 16))
    image.update()
    found[name] = images.read(pictures.find_file(name))[0, 0, :3].tolist()
found["texture"] = float(shader_nodes.read_pixels(bpy.data.images["bytes"])[0, 0, 0])
corners = np.float32([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
surface = proxy_mesh.ProxyMesh(corners, np.int32([[0, 1, 2, 3]]), np.tile(np.float32([1, 0, 0]), (4, 1)),
                               np.ones(4, np.float32), np.zeros(4, np.float32))


class Asset:
    """What of an asset its proxy asks."""

    hash, extent, thumbnail = "12345", 1.0, np.zeros((2, 2, 4), np.uint8)


ob = proxy.build(Asset(), "Proxy", surface)
found["proxy"] = list(ob.data.attributes[proxy.COLOR].data[0].color[:3])
near_blender.unregister()
print(json.dumps(found))
