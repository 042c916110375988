"""Two kinds of charts as SVG: curves in panels, and bars of stacked parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLORS = ("#2458b3", "#d1791b", "#1e8449", "#b03060", "#6b4fa0", "#7f7f7f", "#12868c", "#a08c1e", "#555555", "#e0a3b5")
PANEL, GAP, HEAD = (220, 150), (70, 74), 54  # pixels: a panel, what is left and above of it, the title and the legend


@dataclass(frozen=True)
class Curve:
    """name: the same names have the same colour. points: (x, y). mark: draws points alone, larger."""

    name: str
    points: Sequence[tuple[float, float]]
    mark: bool = False


def draw_curves(title: str, panels: dict[str, list[Curve]], x: str, y: str) -> str:
    """Panels by title, four a row, each with its own scales. x, y: what they show; x is logarithmic."""
    names = list(dict.fromkeys(curve.name for curves in panels.values() for curve in curves))
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    size = columns * (PANEL[0] + GAP[0]) + 20, HEAD + rows * (PANEL[1] + GAP[1])
    body = _draw_legend(names)
    for number, (name, curves) in enumerate(panels.items()):
        left = GAP[0] + number % columns * (PANEL[0] + GAP[0])
        top = HEAD + 30 + number // columns * (PANEL[1] + GAP[1])
        body += _draw_panel(name, curves, names, left, top, x, y)
    return _frame(title, size, body)


def draw_bars(title: str, bars: dict[str, dict[str, float]], unit: str) -> str:
    """Horizontal bars by name, each the sum of its parts."""
    names = list(dict.fromkeys(part for parts in bars.values() for part in parts))
    longest = max((sum(parts.values()) for parts in bars.values()), default=1) or 1
    left, wide, high = 290, 560, 20
    body = _draw_legend(names)
    for number, (name, parts) in enumerate(bars.items()):
        top, at = HEAD + 10 + number * (high + 6), float(left)
        body.append(_write(left - 8, top + 14, name, "end"))
        for part, value in parts.items():
            length = wide * value / longest
            body.append(f'<rect x="{at:.1f}" y="{top}" width="{max(length, 0):.1f}" height="{high}" '
                        f'fill="{_color(names, part)}"><title>{escape(part)}: {value:.3g} {unit}</title></rect>')
            at += length
        whole = sum(parts.values())
        body.append(_write(at + 6, top + 14, f"{whole:,.0f} {unit}" if whole >= 100 else f"{whole:.3g} {unit}"))
    return _frame(title, (left + wide + 100, HEAD + 20 + len(bars) * (high + 6)), body)


def _draw_panel(name: str, curves: list[Curve], names: list[str], left: float, top: float, x: str, y: str
                ) -> list[str]:
    points = [point for curve in curves for point in curve.points]
    across, along = _scale([each[0] for each in points], True), _scale([each[1] for each in points], False)
    place = lambda point: (left + across.place(point[0]) * PANEL[0], top + (1 - along.place(point[1])) * PANEL[1])
    body = [f'<rect x="{left}" y="{top}" width="{PANEL[0]}" height="{PANEL[1]}" fill="none" stroke="#bbb"/>',
            _write(left, top - 8, name, weight="bold"),
            _write(left + PANEL[0] / 2, top + PANEL[1] + 30, x, "middle", "#555"),
            _write(left - 56, top - 8, y, "start", "#555")]
    for value in across.ticks:
        at = left + across.place(value) * PANEL[0]
        body += [f'<path d="M{at:.1f} {top}v{PANEL[1]}" stroke="#eee"/>',
                 _write(at, top + PANEL[1] + 15, f"{value:,.12g}", "middle", "#555")]
    for value in along.ticks:
        at = top + (1 - along.place(value)) * PANEL[1]
        body += [f'<path d="M{left} {at:.1f}h{PANEL[0]}" stroke="#eee"/>', _write(left - 5, at + 4, f"{value:g}", "end",
                                                                                 "#555")]
    for curve in curves:
        color, at = _color(names, curve.name), [place(point) for point in curve.points]
        if not curve.mark:
            body.append(f'<polyline points="{" ".join(f"{px:.1f},{py:.1f}" for px, py in at)}" fill="none" '
                        f'stroke="{color}" stroke-width="1.5"/>')
        body += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{5 if curve.mark else 2.5}" fill="{color}"/>'
                 for px, py in at]
    return body


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    logarithmic: bool
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """0..1 along the axis."""
        low, high, at = (math.log(max(each, 1e-12)) if self.logarithmic else each
                         for each in (self.low, self.high, value))
        return (at - low) / (high - low)


def _scale(values: list[float], logarithmic: bool) -> _Scale:
    low, high = min(values, default=1.0), max(values, default=2.0)
    if logarithmic:
        low, high = low / 1.2, high * 1.2
        steps = [m * 10.0 ** e for e in range(-6, 9) for m in (1, 2, 5)]
        ticks = [step for step in steps if low <= step <= high]
        return _Scale(low, high, True, tuple(ticks if len(ticks) < 6 else [
            step for step in ticks if math.log10(step) % 1 < 1e-9 or math.log10(step) % 1 > 1 - 1e-9]))
    low, high = low - 0.05 * (high - low) - 1e-3, high + 0.05 * (high - low) + 1e-3
    step = next(step for step in (m * 10.0 ** e for e in range(-4, 16) for m in (1, 2, 5)) if (high - low) / step < 6)
    return _Scale(low, high, False, tuple(step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)))


def _draw_legend(names: list[str]) -> list[str]:
    body, left = [], 14.0
    for name in names:
        body += [f'<rect x="{left:.0f}" y="36" width="11" height="11" fill="{_color(names, name)}"/>',
                 _write(left + 16, 46, name)]
        left += 34 + 6.6 * len(name)
    return body


def _color(names: list[str], name: str) -> str:
    return COLORS[names.index(name) % len(COLORS)]


def _write(x: float, y: float, text: str, anchor: str = "start", color: str = "#222", weight: str = "normal") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-weight="{weight}">'
            f"{escape(text)}</text>")


def _frame(title: str, size: tuple[int, int], body: list[str]) -> str:
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" '
                      'font-family="sans-serif" font-size="12">', f"<title>{escape(title)}</title>",
                      f'<rect width="{size[0]}" height="{size[1]}" fill="#ffffff"/>',
                      f'<text x="14" y="24" font-size="15" font-weight="bold">{escape(title)}</text>', *body,
                      "</svg>"]) + "\n"
