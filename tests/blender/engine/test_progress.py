"""near_blender.engine.progress: the bar of a final render."""

import bpy
import pytest

from near_blender.engine.progress import Progress


def test_the_bar_never_goes_back():
    """Light that is asked for again, a picture drawn once more, two eyes and two layers; then the next frame."""
    scene, progress = bpy.context.scene, Progress()
    scene.view_layers.new("Off").use = False
    second = scene.view_layers.new("Second")
    for _ in range(2):
        seen = []
        for layer in (scene.view_layers[0], second):
            progress.begin_layer(scene, layer.name)
            seen += [progress.reach(each) for each in (0.0, 0.3, 0.0, 0.3)]
            for eye in range(2):
                progress.begin_view(eye, 2)
                seen += [progress.reach(each) for each in (0.3, 0.8, 0.3, 0.8, 1.0)]
        assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == 1
        assert seen[4:14][-1] == 0.5, "one of two layers"
    scene.render.use_single_layer = True
    progress.begin_layer(scene, "Second")
    assert progress.reach(0.5) == pytest.approx(0.5)
