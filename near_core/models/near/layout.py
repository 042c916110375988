"""The published networks' rows and maps: what stands in which columns, in their order. Without torch."""

import math

FREQUENCIES = 12  # of the encodings of view direction and distance

# Attributes of a Gaussian by the head meant for them, with their shapes. The published code joins the heads' outputs
# (gs | pbr | scale | rgb) and then takes each group's attributes from the first columns of the whole, so that groups
# overlap; its networks were trained so.
GEOMETRY = (("_xyz", (3,)), ("_base_color", (1, 3)), ("_scaling", (3,)), ("_rotation", (4,)), ("_opacity", (1,)))
MATERIAL = (("_roughness", (1,)), ("_metallic", (1,)), ("_pbr1", (1,)))
SCALE = (("_scaling_view", (3,)),)
LIGHT = (("_rgb", (32,)), ("_shadow", (1,)), ("_hdri1", (1,)), ("_hdri2", (1,)))

# features that are splatted, pass by pass, with their channels
MATERIAL_MAPS = (("base_color", (3,)), ("metallic", (1,)), ("roughness", (1,)), ("pbr1", (1,)), ("normal", (3,)))
LIGHT_MAPS = (("color", (3,)), ("shadow", (1,)), ("brightness", (1,)), ("nush1", (1,)), ("hdri1", (1,)),
              ("hdri2", (1,)), ("normal_view", (3,)))


def count_columns(layout: tuple[tuple[str, tuple[int, ...]], ...]) -> int:
    """How many columns a layout takes."""
    return sum(math.prod(shape) for _, shape in layout)


def encoding_columns(dimensions: int) -> int:
    """How many columns blocks.frequency_encoding makes of so many, at FREQUENCIES."""
    return dimensions * (2 * FREQUENCIES + 1)
