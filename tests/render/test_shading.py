"""Surfels of several instances that are shaded together, as each of them by itself."""

from dataclasses import replace

import numpy as np

from near_core.render import shading
from near_core.render.renderer import Renderer
from near_core.scene import Instance, Settings
from tests.render.test_renderer import ball, look, sun, turned


def test_turned_instances_are_shaded_together_as_each_alone(monkeypatch):
    """Three balls side by side, each turned by another angle, under a sun from the side."""
    asset, portions = replace(ball(radius=0.3, roughness=0.3, metallic=0.5), skin=None), []
    shade = shading.shade
    monkeypatch.setattr(shading, "shade", lambda portion, *others: portions.append(portion) or shade(portion, *others))
    instances = []
    for number, degrees in enumerate((0, 50, 200)):
        instances.append(Instance(asset, turned(degrees)))
        instances[-1].matrix[0, 3] = number - 1
    settings, renderer = Settings(quality="draft", shading="transport", background=False, threads=1), Renderer()
    draw = lambda shown: renderer.render(shown, look(distance=7), sun((1, -1, 1)), settings)["Combined"]
    together = draw(instances)
    assert {len(each.lit.rotation) for each in portions if each.group is not None} == {3}
    assert len(portions) == -(-sum(len(each.index) for each in portions) // shading.AT_ONCE)
    alone = sum(draw([each]) for each in instances)
    assert (together[..., 3] > 0.9).sum() > 300
    assert np.abs(together - alone).max() < 1e-3
