"""Sentences that are longer than a panel is wide."""

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
