"""Every column of a tensor has one name, and every name its columns."""

import re
from pathlib import Path

import numpy as np
import pytest

from near_core.asset.layout import VoxelMaterial
from near_core.models.mini import layout


@pytest.mark.parametrize("names, size", [
    (layout.Picture, layout.PICTURE), (layout.SurfacePlane, layout.SURFACE), (layout.Pose, layout.POSE),
    (layout.Layer, layout.LAYERS), (layout.MaterialColumn, layout.MATERIAL), (layout.Pixel, layout.PIXEL),
    (layout.Octant, layout.CHILD), (layout.DecodedOctant, layout.CHILD - 1), (layout.Term, layout.TERMS),
    (layout.SurfelColumn, layout.SURFEL), (VoxelMaterial, VoxelMaterial.COLUMNS)])
def test_the_names_cover_every_column(names, size):
    """Those that stand for several names' columns (MATERIAL, SENT …) lie on the others."""
    places = {name: place for name, place in vars(names).items()
              if isinstance(place, int | slice) and name != "COLUMNS"}
    together = {"MATERIAL", "GEOMETRY", "SHADED", "ROUGHNESS_METALLIC", "NORMAL_X", "NORMAL_Y", "DIRECTION_X"}
    covered = np.zeros(size, int)
    for name in places.keys() - together:
        covered[places[name]] += 1
    if names is layout.Layer:
        assert layout.Layer.MATERIAL.stop == size and layout.Layer.GEOMETRY.stop == layout.Layer.MATERIAL.start
    assert covered.tolist() == [1] * size


def test_a_decoded_octant_is_an_octant_whose_first_column_stands_beside_it():
    encoded, decoded = np.arange(layout.CHILD), np.arange(1, layout.CHILD)
    for name, place in vars(layout.DecodedOctant).items():
        if isinstance(place, int | slice):
            np.testing.assert_array_equal(decoded[place], encoded[getattr(layout.Octant, name)], name)


def test_materials_stand_in_the_same_order_everywhere():
    for row, size in ((layout.Layer, layout.LAYERS), (layout.Octant, layout.CHILD),
                      (layout.DecodedOctant, layout.CHILD - 1), (VoxelMaterial, VoxelMaterial.COLUMNS)):
        columns = np.arange(size)
        for name in ("BASE_COLOR", "ROUGHNESS", "METALLIC"):
            np.testing.assert_array_equal(columns[row.MATERIAL][getattr(layout.MaterialColumn, name)],
                                          columns[getattr(row, name)])


def test_the_document_has_the_same_columns():
    """Every table of docs/conventions.md that begins with a class of names and `columns`."""
    text = (Path(__file__).parents[3] / "docs" / "conventions.md").read_text()
    tables = re.findall(r"^\| `(\w+)` \|(.+)\|\n\|[-|]+\|\n\| columns \|(.+)\|$", text, re.M)
    assert {kind for kind, _, _ in tables} >= {"VoxelMaterial", "Latent", "Octant", "Layer", "Pixel", "Pose", "Term"}
    for kind, names, columns in tables:
        place = VoxelMaterial if kind == "VoxelMaterial" else getattr(layout, kind)
        for name, told in zip(re.findall(r"`(\w+)`", names), columns.split("|"), strict=True):
            first, _, last = told.strip().partition("-")
            expected = list(range(int(first), int(last or first) + 1))
            assert np.atleast_1d(np.arange(64)[getattr(place, name)]).tolist() == expected, (kind, name)
