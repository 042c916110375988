"""Fit Pose without a window: what it refuses, and what a script gets instead. tests/gui/pose.py turns the mesh."""

import bpy
import pytest


def test_a_pose_is_fitted_in_an_image_editor_only():
    with pytest.raises(RuntimeError, match="drawn on in an Image Editor"):
        bpy.ops.near.fit_pose("INVOKE_DEFAULT", filepath="photo.png", mesh_object="Cube")
