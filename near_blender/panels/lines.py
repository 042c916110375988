"""Sentences in panels: Blender's labels are cut off where the panel ends, so they go on in the next line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import bpy

from ..translations import translate

# pixels of a panel's width, at Blender's usual scale, that tabs and borders take, an icon, and what is beside a text
BORDERS, ICON, PADDING = 55, 23, 12
NAMES = 0.35  # of the width, that names of facts have
_PIECES = re.compile(r"[\u2e80-\uffff]|[^\s\u2e80-\uffff]+\s*|\s+")  # words; Chinese goes on anywhere


def break_lines(text: str, room: float, measure: Callable[[str], float]) -> list[str]:
    """Text in lines that fit, one word at least in each. room: what measure gives at most for a line."""
    lines = [""]
    for piece in _PIECES.findall(text):
        if lines[-1] and measure((lines[-1] + piece).rstrip()) > room:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines]


def draw_facts(layout: bpy.types.UILayout, context: bpy.types.Context, facts: dict[str, str]) -> None:
    """Names, English, and values, translated already, in two columns; as sentences where one would be cut off."""
    texts = [(translate(name), value) for name, value in facts.items()]
    if all(fits(context, text, share) for pair in texts for text, share in zip(pair, (NAMES, 1 - NAMES))):
        split = layout.split(factor=NAMES)
        names, values = split.column(align=True), split.column(align=True)
        for name, value in texts:
            names.label(text=name, translate=False)
            values.label(text=value, translate=False)
        return
    column = layout.column(align=True)
    for name, value in texts:
        draw_sentence(column, context, f"{name}: {value}", "NONE")


def fits(context: bpy.types.Context, text: str, share: float = 1.0) -> bool:
    """Whether a label of a part of the region's width shows all of a text."""
    if not _is_shown(context):
        return True
    room = share * (context.region.width - BORDERS * context.preferences.system.ui_scale)
    return _measure(context)(text) <= room - PADDING * context.preferences.system.ui_scale


def _is_shown(context: bpy.types.Context) -> bool:
    return context.region is not None and not bpy.app.background


def _measure(context: bpy.types.Context) -> Callable[[str], float]:
    """What tells how wide a text is, pixels."""
    import blf
    system, style = context.preferences.system, context.preferences.ui_styles[0]
    blf.size(0, style.widget.points * system.ui_scale)
    return lambda text: blf.dimensions(0, text)[0]


def draw_sentence(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: Any) -> None:
    """A sentence, translated already, below and beside an icon, as wide as the region."""
    lines = [text]
    if _is_shown(context):
        taken = BORDERS + PADDING + ICON * (icon != "NONE")
        room = context.region.width - taken * context.preferences.system.ui_scale
        lines = break_lines(text, room, _measure(context))
    for number, line in enumerate(lines):
        layout.label(text=line, icon="BLANK1" if number and icon != "NONE" else icon, translate=False)
