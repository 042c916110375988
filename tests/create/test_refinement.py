"""Colours that give the photos back."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create import refinement
from near_core.create.config import RefinementConfig
from near_core.create.fusion import PhotoEvidence
from near_core.create.photo import prepare
from near_core.create.sampling import sample_surface
from near_core.errors import Cancelled
from near_core.image import srgb_encode
from near_core.render.discs import ProjectedDiscs
from near_core.scene import camera as cameras
from tests.create.pictures import box


class Seen:
    """What refining wants of a photo."""

    def __init__(self, photo, camera):
        self.photo, self.camera = photo, camera


@pytest.fixture(scope="module")
def striped():
    """A striped box under white light from all around, its photo, and what is known of it."""
    surfels, texels = sample_surface(box())
    stripes = 0.3 + 0.2 * np.sign(np.sin(40 * surfels.position[:, [0]])) * np.float32([1, 0.5, 0.2])
    camera = cameras.orbit(-30, 20, 2.6, 30, 256, 256)
    rgba = ProjectedDiscs.of(surfels, 128, camera).draw(stripes.astype(np.float32))
    straight = rgba[..., :3] / np.maximum(rgba[..., 3:], 1e-3)
    photo = prepare(np.round(255 * np.concatenate([srgb_encode(straight), rgba[..., 3:]], -1)).astype(np.uint8))
    facing = (surfels.normal * camera.directions_to(surfels.position)).sum(1)
    grey = replace(surfels, base_color=np.full((len(surfels), 3), 0.3, np.float32))
    said = PhotoEvidence(np.ones((len(surfels), 1), np.float32), np.stack([stripes]),
                     np.maximum(facing, 0).astype(np.float32)[None])
    return grey, texels, [Seen(photo, photo.cropped(camera))], said, stripes


def measure_off(drawing: refinement._Drawing, radiance: np.ndarray) -> float:
    """By how much the surfels' radiance (M, 3) misses the photo: weighted mean square of linear values."""
    off = drawing.discs.draw(radiance)[..., :3] - drawing.target
    return float((drawing.weight * off**2).sum() / drawing.weight.sum())


def test_the_photo_comes_back(striped):
    grey, texels, views, said, stripes = striped
    made, fine = refinement.refine_colors(grey, texels, views, said)
    drawing = refinement._Drawing(grey, views[0], said.trust[0], RefinementConfig())
    scale = (stripes / grey.base_color).mean()  # of the light that is fitted to the grey box
    assert measure_off(drawing, made.base_color * scale) < 0.15 * measure_off(drawing, grey.base_color * scale)
    hidden = said.trust[0] == 0
    np.testing.assert_allclose(made.base_color[hidden], 0.3, atol=0.02)
    np.testing.assert_allclose(fine.compute_colors(made), made.base_color[fine.surfel], atol=0.02)


def test_refining_can_be_stopped(striped):
    def stop(phase, fraction):
        if fraction > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        refinement.refine_colors(*striped[:4], stop)
