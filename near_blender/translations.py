"""What labels and tooltips are called in other languages: assets/translations.tsv, a column for each.

Blender asks by itself for the names and descriptions of operators, properties, panels and enum items, for texts of
layouts and for the reasons of grey buttons. Sentences with names and numbers in them stay English.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

TABLE = Path(__file__).resolve().parent / "assets" / "translations.tsv"
# a column -> all that Blender's versions call its language
LOCALES = {"de_DE": ("de_DE", "de"), "zh_HANS": ("zh_HANS", "zh_CN")}
CONTEXTS = ("*", "Operator")  # of labels in general, and of operators' names


def read_table() -> dict[str, dict[str, str]]:
    """English text -> column -> text."""
    head, *rows = (line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines())
    return {row[0]: dict(zip(head[1:], row[1:])) for row in rows}


def make_catalogue() -> dict[str, Any]:
    """As bpy.app.translations.register takes it."""
    table = read_table()
    return {name: {(context, text): said[column] for text, said in table.items() for context in CONTEXTS}
            for column, names in LOCALES.items() for name in names}


def register() -> None:
    bpy.app.translations.register(__package__, make_catalogue())


def unregister() -> None:
    bpy.app.translations.unregister(__package__)
