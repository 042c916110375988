"""What labels, tooltips and messages are called in other languages: assets/translations.tsv, a column for each.

Blender asks by itself for the names and descriptions of operators, properties, panels and enum items, for texts of
layouts and for the reasons of grey buttons. Sentences with names and numbers in them are near_core's messages: their
templates are in the table, and the fields are filled after translation. The log, reports that are sent to developers,
and the command line stay English.
"""

from __future__ import annotations

from pathlib import Path
from string import Formatter
from typing import Any

import bpy

from . import log
from ._core import errors

TABLE = Path(__file__).resolve().parent / "assets" / "translations.tsv"
# a column -> all that Blender's versions call its language
LOCALES = {"de_DE": ("de_DE", "de"), "zh_HANS": ("zh_HANS", "zh_CN")}
OWN = "Operator"  # the context of operators' names, in which Blender's own words for other things do not win
CONTEXTS = ("*", OWN)


def read_table(path: Path = TABLE) -> dict[str, dict[str, str]]:
    """English text -> column -> text. What is damaged is left out and stays English: rows of another length, and
    sentences whose fields are not those of the English ones."""
    try:
        head, *rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        log.add(f"{path.name} could not be read ({error}): everything stays English.")
        return {}
    return {row[0]: {column: said for column, said in zip(head[1:], row[1:]) if _has_fields_of(row[0], said)}
            for row in rows if len(row) == len(head)}


def _has_fields_of(text: str, said: str) -> bool:
    """Whether a translation can be filled as the English sentence is."""
    try:
        english, found = ({field[1:] for field in Formatter().parse(each) if field[1] is not None}
                          for each in (text, said))
    except ValueError:  # a brace of no field
        return False
    return found <= english


def make_catalogue(table: dict[str, dict[str, str]]) -> dict[str, Any]:
    """As bpy.app.translations.register takes it. table: read_table's."""
    return {name: {(context, text): said[column] for text, said in table.items() if column in said
                   for context in CONTEXTS}
            for column, names in LOCALES.items() for name in names}


def translate(text: str) -> str:
    """A Message in the language of Blender's interface, with the messages inside it; other text as a constant is, and
    as it is where the table has none."""
    look_up: Any = bpy.app.translations.pgettext_rpt
    if not isinstance(text, errors.Message):
        return look_up(text, OWN) if text else ""
    template = look_up(text.template, OWN)
    if not text.values:
        return template
    return template.format(**{name: translate(value) if isinstance(value, errors.Message) else value
                              for name, value in text.values.items()})


def say(template: str, **values: Any) -> str:
    """A sentence for the person at the screen: errors.Message, translated."""
    return translate(errors.Message(template, **values))


def explain(error: errors.NearError) -> str:
    """What is wrong and what to do, translated."""
    return translate(errors.join(error.what, error.fix))


def register() -> None:
    bpy.app.translations.register(__package__, make_catalogue(read_table()))


def unregister() -> None:
    bpy.app.translations.unregister(__package__)
