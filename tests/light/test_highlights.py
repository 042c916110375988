"""Highlights of small lamps and suns on skins that turn within a pixel."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.light import highlights
from near_core.light.config import TransportConfig
from near_core.render.renderer import Renderer
from near_core.scene import Environment, Instance, Lamp
from near_core.scene.environment import uniform
from tests.light.test_terms import floor
from tests.render.test_renderer import ANALYTIC, ball, look


@pytest.fixture(scope="module")
def shiny():
    return ball(0.5, roughness=0.1, metallic=1.0)


def test_highlights_do_not_slip_between_pixels(shiny):
    z = np.array([1, -1, 1.2]) / np.sqrt(3.44)
    x = np.array([1, 1, 0]) / np.sqrt(2)
    matrix = np.eye(4)
    matrix[:3] = np.column_stack([x, np.cross(z, x), z, 2.2 * z])
    lamp = Lamp("spot", matrix, np.full(3, 100.0), radius=0.05, spot_angle=0.5, blend=0.3)
    sky = np.full((512, 1024, 3), 0.05, np.float32)
    sky[120:123, 700:703] = 5000
    renderer = Renderer()

    def measure(size, environment, lamps):
        made = []
        for k in range(6 if size < 200 else 1):
            camera = look(20, 15, size)
            shift = np.array([[0, 0, 0.37 * k % 1], [0, 0, 0.61 * k % 1], [0, 0, 0]])
            camera = replace(camera, intrinsics=camera.intrinsics + shift)
            picture = renderer.render([Instance(shiny, np.eye(4))], camera, environment, ANALYTIC, lamps=lamps)
            made.append(picture["Combined"][..., :3].sum() / size ** 2)
        return np.array(made)

    for light in ((uniform((0, 0, 0)), [lamp]), (Environment(sky), [])):
        few, many = measure(96, *light), measure(384, *light)
        assert few.std() / few.mean() < 0.1 and few.mean() == pytest.approx(many.mean(), rel=0.04)


def test_what_is_flat_close_or_rough_is_as_sharp_as_ever():
    points, config = floor(0.1, metallic=1.0), TransportConfig()
    count = len(points)
    assert highlights.split(points, np.zeros(count, np.float32), config) is None
    assert highlights.split(points, np.full(count, 5e-6, np.float32), config) is None
    turned = np.full(count, 1e-4, np.float32)
    assert highlights.split(replace(points, roughness=np.full(count, 0.3, np.float32)), turned, config) is None
    turned[::2] = 0
    narrow = highlights.split(points, turned, config)
    assert list(narrow.rows) == list(range(1, count, 2)) and narrow.share.min() == 1
    mean = narrow.average(lambda part, rows: part.shading_normal)
    assert np.allclose(mean / np.linalg.norm(mean, axis=1)[:, None], points.shading_normal[narrow.rows], atol=1e-5)
