"""Overrides: read by the field's type, refused in words that list the choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from near_core.errors import NearError
from near_core.lab.evaluation.overrides import list_changes, override


@dataclass(frozen=True)
class GlossFields:
    limit: float = 1.0


@dataclass(frozen=True)
class ShadingFields:
    blend: float = 0.5
    steps: int = 4
    sharp: bool = False
    limits: tuple[float, float] = (0.0, 1.0)
    scales: tuple[int, ...] = (1, 2)
    mode: Literal["fast", "fine"] = "fast"
    seed: int | None = None
    name: str = ""
    gloss: GlossFields = GlossFields()


@dataclass(frozen=True)
class Configs:
    shading: ShadingFields = ShadingFields()
    other: ShadingFields = ShadingFields()


@pytest.mark.parametrize(("text", "value"), [
    ("blend=0.25", 0.25), ("blend=1e-3", 1e-3), ("blend = 2", 2.0), ("steps=7", 7), ("sharp=true", True),
    ("limits=0.1,0.9", (0.1, 0.9)), ("limits=(0.1, 0.9)", (0.1, 0.9)), ("scales=4", (4,)), ("scales=1,2,4", (1, 2, 4)),
    ("mode=fine", "fine"), ("seed=3", 3), ("seed=none", None), ("name=keg", "keg")])
def test_values_are_read_by_the_type_of_their_field(text, value):
    found = getattr(override(Configs(), [f"shading.{text}"]).shading, text.partition("=")[0].strip())
    assert found == value and type(found) is type(value)


def test_several_are_set_and_the_last_one_counts():
    found = override(Configs(), ["shading.steps=1", "other.steps=2", "shading.steps=3", "other.gloss.limit=2"])
    assert (found.shading.steps, found.other.steps, found.shading.blend, found.other.gloss.limit) == (3, 2, 0.5, 2)
    assert list_changes(found, Configs()) == {"shading.steps": 3, "other.steps": 2, "other.gloss.limit": 2.0}
    assert override(Configs(), []) == Configs() and list_changes(Configs(), Configs()) == {}


@pytest.mark.parametrize(("text", "words"), [
    ("light.blend=1", "shading, other"), ("shading.blent=1", "blend, steps, sharp, limits"),
    ("shading.blend", "Write it as"), ("blend=1", "Write it as"), ("shading.blend=much", "a number.*0.5"),
    ("shading.blend=nan", "a number"), ("shading.steps=1.5", "a whole number.*4"), ("shading.sharp=1", "true or false"),
    ("shading.limits=1", "2 values separated by commas"), ("shading.limits=1,x", "2 values.*0.0,1.0"),
    ("shading.scales=", "a whole number or several"), ("shading.mode=good", "fast, fine"),
    ("shading.seed=x", "a whole number or none"), ("shading.gloss.limits=1", "no field shading.gloss.limits.*limit"),
    ("shading.gloss.limit=x", "shading.gloss.limit takes a number"), ("shading.steps.more=1", "a whole number.*4"),
    ("shading.gloss=1", "nothing")])
def test_what_cannot_be_set_is_told_with_the_choices(text, words):
    with pytest.raises(NearError, match="(?s)" + words):
        override(Configs(), [text])
