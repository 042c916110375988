"""What the tests of creation share: the trained model, a photo with its camera, and assets made of it once."""

import pytest

from near_core.create.create import create_from_mesh
from near_core.models.mini.runtime import NearMini
from near_core.scene import camera as cameras
from tests.create.made import Made, make
from tests.create.pictures import box, photographed


@pytest.fixture(scope="session")
def model():
    found = NearMini()
    if not {"intrinsics", "structure", "slat", "iad"} <= set(found.graphs):
        pytest.skip("near-mini is not exported: python3 build.py setup")
    return found


@pytest.fixture(scope="session")
def red(model, photo) -> Made:
    """Of the photo alone and its camera."""
    return make(photo)


@pytest.fixture(scope="session")
def clad(model, photo) -> Made:
    """Of the photo and the box that it shows, which glows."""
    return make(photo, box(emission=(9, 9, 9)))


@pytest.fixture(scope="session")
def photo():
    """A picture of a red box, (256, 256, 4) uint8 with alpha, and its camera."""
    asset = create_from_mesh(box(base_color=(0.7, 0.05, 0.05, 1)), name="box")
    return photographed(asset, cameras.orbit(20, 15, 2.9, 40, 256, 256))
