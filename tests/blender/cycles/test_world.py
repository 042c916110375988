"""What the second Blender reads for a World."""

import bpy
import numpy as np

from near_blender.scene import world as worlds
from near_core.image import write_exr


def test_an_image_that_was_not_opened_is_read_by_the_second_blender(tmp_path):
    pixels = np.random.default_rng(0).random((32, 64, 3), np.float32)
    write_exr(tmp_path / "sky.exr", {"Combined": pixels})
    (tmp_path / "damaged.exr").write_bytes(bytes(1000))
    sky, damaged = (bpy.data.images.load(str(tmp_path / name)) for name in ("sky.exr", "damaged.exr"))
    readings = [worlds.FileReading(image, 1024, "World") for image in (sky, damaged)]
    assert all(reading.wait(60) for reading in readings) and not sky.has_data
    assert np.array_equal(readings[0].light().environment.map, worlds._read_pixels(sky, 1024)().environment.map)
    assert not readings[1].succeeded and worlds._refused == {str(tmp_path / "damaged.exr")}
    worlds.unregister()
