"""Sentences that are longer than a panel is wide."""

from types import SimpleNamespace

import pytest

from near_blender.panels import lines


def test_a_sentence_goes_on_in_the_next_line():
    said = "its modifiers Remesh and Boolean, which cannot be followed"
    found = lines.break_lines(said, 20, len)
    assert " ".join(found) == said and len(found) > 2 and max(map(len, found)) <= 20
    assert lines.break_lines(said, 1000, len) == [said] and lines.break_lines("", 20, len) == [""]


def test_chinese_has_no_spaces_and_long_names_stay_whole():
    assert lines.break_lines("\u65e0\u6cd5\u8ddf\u968f Remesh.001", 6, len) == [
        "\u65e0\u6cd5\u8ddf\u968f", "Remesh.001"]
    assert lines.break_lines("\u65e0\u6cd5\u8ddf\u968f", 3, len) == ["\u65e0\u6cd5\u8ddf", "\u968f"]


class Noted:
    """A layout that notes its labels, by columns."""

    def __init__(self) -> None:
        self.columns: list[list[str]] = []

    def split(self, **_) -> "Noted":
        return self

    def column(self, **_) -> SimpleNamespace:
        self.columns.append(texts := [])
        return SimpleNamespace(label=lambda text, **_: texts.append(text))


@pytest.mark.parametrize("width, shown", [
    (300, [["Seen", "Trusted"], ["41% of it", "140\u00b0 around azimuth 15\u00b0"]]),
    (200, [["Seen: 41% of it", "Trusted: 140\u00b0 around", "azimuth 15\u00b0"]])])
def test_facts_are_never_cut_off(monkeypatch, width, shown):
    """A letter is 6 pixels wide here."""
    monkeypatch.setattr(lines, "_measure", lambda context: lambda text: 6 * len(text))
    monkeypatch.setattr(lines, "_is_shown", lambda context: True)
    context = SimpleNamespace(region=SimpleNamespace(width=width), preferences=SimpleNamespace(
        system=SimpleNamespace(ui_scale=1.0)))
    layout = Noted()
    lines.draw_facts(layout, context, {"Seen": "41% of it", "Trusted": "140\u00b0 around azimuth 15\u00b0"})
    assert layout.columns == shown
