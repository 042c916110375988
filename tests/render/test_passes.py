"""Features of surfels become passes: divided by alpha, over a sky, in the order asked for."""

import numpy as np
import pytest

from near_core.render import passes
from near_core.render.config import SplattingConfig
from near_core.scene import PASSES, Settings
from near_core.scene import camera as cameras

CAMERA = cameras.orbit(0, 0, 3, 30, 40, 36)
DATA = {"Base Color": np.float32([[0.2, 0.4, 0.6]]), "Normal": np.float32([[0, 0, 2]]), "Roughness": np.float32([0.3]),
        "Metallic": np.float32([0.7]), "Shadow": np.float32([0.9]), "Confidence": np.float32([1]),
        "Emission": np.float32([[30, 0.5, 0]])}


def blended(share: float, wanted: tuple[str, ...]) -> np.ndarray:
    """A picture of one surfel's features, of which everywhere a share is seen."""
    features = passes.pack(np.float32([5]), np.float32([[1, 2, 3]]), DATA, wanted)
    assert features.shape == (1, passes.count_features(wanted))
    return np.broadcast_to(share * features[0], (CAMERA.height, CAMERA.width, features.shape[1])).astype(np.float32)


@pytest.mark.parametrize("wanted", [tuple(PASSES), ("Combined",), ("Metallic", "Combined", "Normal"), ("Depth",)])
def test_passes_say_what_the_surfel_says(wanted):
    image = blended(0.5, wanted)
    made = passes.develop(image, image[..., passes.SHOWN], CAMERA, None, Settings(passes=wanted))
    assert tuple(made) == wanted and all(made[name].shape == (36, 40, PASSES[name]) for name in wanted)
    expected = {"Combined": [0.5, 1, 1.5, 0.5], "Depth": [5], "Normal": [0, 0, 1], "Emission": [15, 0.25, 0]}
    for name in wanted:
        np.testing.assert_allclose(made[name][7, 9], expected.get(name, np.ravel(DATA.get(name))), rtol=1e-6)


def test_what_far_sides_block_counts_for_the_front_up_to_solidity():
    image = blended(0.5, ("Combined", "Depth"))
    for alpha, expected in ((0.55, 0.55), (0.9, 0.6)):
        made = passes.develop(image, np.full(image.shape[:2], alpha, np.float32), CAMERA, None,
                              Settings(passes=("Combined", "Depth")), SplattingConfig(solidity=1.2))
        np.testing.assert_allclose(made["Combined"][0, 0], expected * np.float32([1, 2, 3, 1]), rtol=1e-5)
        np.testing.assert_allclose(made["Depth"], 5, rtol=1e-5)


def test_the_sky_fills_what_is_open():
    image = blended(0.25, ("Combined",))
    made = passes.develop(image, image[..., 0], CAMERA, lambda window: np.full((window.height, window.width, 3), 4.0),
                          Settings(passes=("Combined",), background=True))["Combined"]
    np.testing.assert_allclose(made, np.broadcast_to([3.25, 3.5, 3.75, 1], made.shape), rtol=1e-6)
