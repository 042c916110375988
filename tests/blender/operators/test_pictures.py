"""Assets of pictures that are in no file."""

import bpy
import numpy as np
import pytest

from near_blender import payload
from near_blender.operators import pictures
from near_core import image as images


def paint(name: str, is_float: bool = False) -> bpy.types.Image:
    """A red disc on nothing."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    pixels = np.zeros((64, 64, 4), np.float32)
    pixels[x * x + y * y < 0.6] = (0.8, 0.1, 0.1, 1)
    image = bpy.data.images.new(name, 64, 64, alpha=True, float_buffer=is_float)
    image.pixels.foreach_set(pixels.ravel())
    return image


@pytest.mark.parametrize("is_float", [False, True])
def test_what_was_painted_gets_a_file(is_float):
    image = paint("Disc", is_float)
    path = pictures.find_file("Disc")
    picture = images.read(path, linear=False)
    assert picture.shape == (64, 64, 4) and picture[32, 32, 3] == 1 and picture[0, 0, 3] == 0
    assert image.source == "GENERATED" and [each.name for each in bpy.data.images] == ["Disc"]


def test_two_pictures_of_one_name_have_two_files():
    """What was made of the first would else be made again of the second."""
    names = [paint("Untitled").name for _ in range(2)]
    first, second = (pictures.find_file(name) for name in names)
    assert first != second and first.is_file() and first.stem == second.stem == "Untitled"


def test_an_image_that_is_gone_is_named():
    with pytest.raises(RuntimeError, match="There is no image Nothing"):
        bpy.ops.near.create_asset_from_image(image_name="Nothing")


def test_the_clipboard_says_why_it_is_grey():
    assert pictures.find_problem(bpy.context) == "The clipboard needs a window"
    assert not bpy.ops.near.create_asset_from_clipboard.poll()


@pytest.mark.slow
def test_an_image_of_the_file_becomes_an_asset(addon):
    paint("Disc")
    bpy.context.scene.cursor.location = (0, 0, 1)
    bpy.ops.near.create_asset_from_image(image_name="Disc", size=2)
    ob = bpy.context.object
    assert payload.decode_asset(ob) is not None and np.isclose(max(ob.dimensions), 2, rtol=1e-3)
