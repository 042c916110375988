"""What the tests of creation look at: a disc on a wall, a box, a thing that fills the crop."""

import numpy as np
import trimesh

from near_core import image
from near_core.create import photo
from near_core.create.view import LayerView
from near_core.mesh import Material, Mesh
from near_core.models.mini.layout import LAYERS, PICTURE, SIZE, Layer, Picture
from near_core.render.renderer import Renderer
from near_core.scene import Instance, Settings
from near_core.scene.environment import uniform

RED = (200, 40, 30)


def disc(width=300, height=200, radius=60, at=(150, 100), color=RED, background=(90, 120, 160)):
    """(H, W, 3) uint8: a disc on a slightly noisy wall."""
    y, x = np.mgrid[:height, :width] + 0.5
    picture = np.where((np.hypot(x - at[0], y - at[1]) < radius)[..., None], color, background).astype(float)
    return np.clip(picture + np.random.default_rng(0).normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def mask_of(width=300, height=200, radius=60, at=(150, 100)) -> np.ndarray:
    y, x = np.mgrid[:height, :width] + 0.5
    return (np.hypot(x - at[0], y - at[1]) < radius).astype(np.uint8) * 255


def check_disc(found: photo.Photo, color=RED, tolerance=0.03) -> None:
    """The disc fills 1 / 1.2 of the crop, in its middle."""
    assert found.alpha.shape == (photo.SIZE, photo.SIZE) and found.rgb.shape == (photo.SIZE, photo.SIZE, 3)
    assert found.rgb.dtype == found.alpha.dtype == np.float32
    y, x = np.mgrid[:photo.SIZE, :photo.SIZE] + 0.5
    radius = np.hypot(x - photo.SIZE / 2, y - photo.SIZE / 2) / photo.SIZE * 1.2
    assert found.alpha[radius < 0.46].mean() > 0.98 and found.alpha[radius > 0.54].mean() < 0.02
    expected = image.srgb_decode(np.array(color) / 255)
    np.testing.assert_allclose(found.rgb[radius < 0.4].mean(0), expected, atol=tolerance)


def box(size=(0.9, 0.6, 0.5), **material) -> Mesh:
    shape = trimesh.creation.box(size)
    return Mesh(np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32),
                materials=(Material(**material),))


def photographed(asset, camera):
    made = Renderer().render([Instance(asset, np.eye(4))], camera, uniform((1, 1, 1)), Settings(shading="transport"))
    rgba = made["Combined"]
    straight = np.clip(rgba[..., :3] / np.maximum(rgba[..., 3:], 1e-3), 0, 1) ** (1 / 2.2)
    return (np.concatenate([straight, rgba[..., 3:]], -1) * 255).astype(np.uint8), camera


def view_of(camera, front: np.ndarray) -> LayerView:
    """A grey thing that fills the crop; front: (SIZE, SIZE) asset units below the frame's origin."""
    picture = np.zeros((PICTURE, SIZE, SIZE), np.float32)
    picture[Picture.ALPHA] = 1
    layers = np.full((LAYERS, SIZE, SIZE), 0.5, np.float32)
    layers[Layer.DEPTH] = front / (camera.width / camera.intrinsics[0, 0] * camera.world_to_camera[2, 3])
    layers[Layer.THICKNESS] = 0.1
    return LayerView(camera, picture, layers)
