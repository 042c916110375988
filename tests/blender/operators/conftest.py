"""What tests of operators share: the real worker behind them, a file and a mesh."""

import bpy
import pytest
from mathutils import Matrix

from near_blender.client import client
from near_core import asset as assets


@pytest.fixture(scope="module", autouse=True)
def worker(addon):
    """The worker is stopped when this module's tests are done."""
    yield
    client.get_worker().stop()


@pytest.fixture
def near_file(ball, tmp_path) -> str:
    assets.save(ball, tmp_path / "ball.near")
    return str(tmp_path / "ball.near")


@pytest.fixture
def cube() -> bpy.types.Object:
    """A red cube away from the cursor, made a bar, 2 m wide: that has less surface to be sampled."""
    bpy.ops.mesh.primitive_cube_add(location=(4, 0, 0))
    cube = bpy.context.object
    cube.data.transform(Matrix.Diagonal((1, 0.1, 0.1, 1)))
    material = bpy.data.materials.new("Red")
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.7, 0.05, 0.05, 1)
    cube.data.materials.append(material)
    return cube
