"""Sentences in panels: Blender's labels are cut off where the panel ends, so they go on in the next line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import bpy

MARGIN = 90  # pixels of a panel's width, at Blender's usual scale, that an icon, tabs and borders take
_PIECES = re.compile(r"[\u2e80-\uffff]|[^\s\u2e80-\uffff]+\s*|\s+")  # words; Chinese goes on anywhere


def break_lines(text: str, room: float, measure: Callable[[str], float]) -> list[str]:
    """Text in lines that fit, one word at least in each. room: what measure gives at most for a line."""
    lines = [""]
    for piece in _PIECES.findall(text):
        if lines[-1] and measure((lines[-1] + piece).rstrip()) > room:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines]


def draw_sentence(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: Any) -> None:
    """A sentence, translated already, below and beside an icon, as wide as the region."""
    lines = [text]
    if context.region is not None and not bpy.app.background:
        import blf
        system, style = context.preferences.system, context.preferences.ui_styles[0]
        blf.size(0, style.widget.points * system.ui_scale)
        room = context.region.width - MARGIN * system.ui_scale
        lines = break_lines(text, room, lambda line: blf.dimensions(0, line)[0])
    for number, line in enumerate(lines):
        layout.label(text=line, icon="BLANK1" if number and icon != "NONE" else icon, translate=False)
