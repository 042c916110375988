"""The maps of a skin are averaged as what they are looked up as."""

import io

import numpy as np
from PIL import Image

from near_core.render.skin_maps import SkinMaps


def test_one_picture_may_be_colour_a_value_and_normals_at_once():
    kept = io.BytesIO()
    Image.fromarray(np.full((4, 4, 4), 200, np.uint8)).save(kept, "PNG")
    maps = SkinMaps([kept.getvalue()])
    for column, channels in ((1, 1), (3, 3), (0, 4), (2, 1)):
        assert maps.find_levels(0, column)[0].shape == (4, 4, channels)
    assert maps.find_levels(0, 1) is maps.find_levels(0, 2)
