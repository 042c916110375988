"""What is made of surfaces, read here or by the second Blender."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from near_blender import scratch
from near_blender.client import client
from near_blender.scene import geometry, surface_jobs
from near_core import errors


@pytest.fixture
def box():
    """A box whose roughness nodes compute."""
    bpy.ops.mesh.primitive_cube_add(size=1, location=(3, 2, 1), scale=(2, 1, 1.5))
    material = bpy.data.materials.new("Computed")
    material.use_nodes = True
    tree = material.node_tree
    tree.links.new(tree.nodes.new("ShaderNodeTexNoise").outputs[0],
                   tree.nodes["Principled BSDF"].inputs["Roughness"])
    bpy.context.object.data.materials.append(material)
    return bpy.context.object


def make(surface: geometry.ObjectSurface):
    return client.create_from_mesh(surface.mesh, name="Box", normalize=True, detail="draft")


def test_a_large_mesh_is_read_beside_the_artist(box, monkeypatch):
    """It becomes the same asset, though not even its shape is read here."""
    here = surface_jobs.start(box, bpy.context.scene, make, tells=True)
    monkeypatch.setattr(geometry, "MOST_TRIANGLES", 6)
    monkeypatch.setattr(geometry, "read_mesh", None)
    away = surface_jobs.start(box, bpy.context.scene, make, tells=True)
    assert np.array_equal(away.result()["asset"], here.result()["asset"])
    assert "comes from" in away.warning and away.warning == here.warning and away.fraction == 1
    assert away.surface.shape.hash == here.surface.shape.hash and np.allclose(away.surface.matrix, here.surface.matrix)


def test_a_job_that_is_stopped_leaves_no_folder(box):
    reading = surface_jobs.SurfaceReading(box, bpy.context.scene, 512)
    job = surface_jobs.SurfaceJob(make, None, reading)
    job.cancel()
    with pytest.raises(errors.Cancelled):
        job.result()
    assert job.done and not Path(reading.folder.name).exists()


def test_where_baking_fails_the_asset_is_made_without(box, monkeypatch):
    plain = geometry.read_mesh(box, bpy.context.scene)
    monkeypatch.setattr(scratch, "hand_over", lambda *_: ("nowhere.blend", None))
    lost = surface_jobs.SurfaceReading(box, bpy.context.scene, 512)
    job = surface_jobs.SurfaceJob(make, plain, lost, tells=True)
    assert len(job.result()["asset"]) > 1000
    assert "could not be handed" in job.warning and "comes from" in job.warning
    with pytest.raises(errors.NearError):
        surface_jobs.SurfaceJob(make, None, lost).result()
