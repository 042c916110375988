"""Paths beside the file: that Blender takes them wherever NeAR does."""

import bpy
import pytest

from near_blender import paths, photo_options

FROM_OPERATORS = {"NEAR_OT_fit_pose", "NEAR_OT_draw_hints"}  # nobody else names their paths


@pytest.mark.skipif(not paths.RELATIVE, reason="Blender does not tell them apart")
def test_every_path_may_be_relative():
    kinds = [getattr(bpy.ops.near, name).get_rna_type() for name in dir(bpy.ops.near)]
    kinds += [kind.bl_rna for kind in photo_options.CLASSES]
    found = {(kind.identifier, prop.identifier): prop.is_path_supports_blend_relative for kind in kinds
             for prop in kind.properties if prop.type == "STRING" and prop.subtype in ("FILE_PATH", "DIR_PATH")
             and kind.identifier not in FROM_OPERATORS}
    assert len(found) > 10 and not [path for path, taken in found.items() if not taken]
