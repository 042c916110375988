"""Charts are well-formed, and places on them are in proportion."""

import re
from xml.etree import ElementTree

from near_core.lab.bench.charts import Curve, draw_bars, draw_curves

SVG = "{http://www.w3.org/2000/svg}"


def test_curves_stand_in_their_panels_on_scales_of_their_own():
    panels = {"a <b>": [Curve("one", [(0.1, 20), (1, 30), (10, 40)]), Curve("two", [(1, 25)], mark=True)],
              "c": [Curve("one", [(100, 1)])]}
    drawn = ElementTree.fromstring(draw_curves("Title", panels, "seconds", "dB"))
    line = next(drawn.iter(f"{SVG}polyline"))
    (x0, y0), (x1, y1), (x2, y2) = (map(float, pair.split(",")) for pair in line.get("points").split())
    assert x0 < x1 < x2 and abs((x1 - x0) - (x2 - x1)) < 0.3  # logarithmic
    assert y0 > y1 > y2 and abs((y1 - y0) - (y2 - y1)) < 0.3  # not, and up
    frame = drawn.findall(f"{SVG}rect[@fill='none']")[0]
    left, width = float(frame.get("x")), float(frame.get("width"))
    assert left < x0 and x2 < left + width
    assert "a <b>" in [each.text for each in drawn.iter(f"{SVG}text")]


def test_bars_are_as_long_as_their_parts_together():
    drawn = draw_bars("Title", {"a": {"p": 1.0, "q": 3.0}, "b": {"p": 2.0}}, "ms")
    widths = [float(width) for width in re.findall(r'width="([\d.]+)" height="20"', drawn)]
    assert abs(widths[1] - 3 * widths[0]) < 0.2 and abs(widths[2] - 2 * widths[0]) < 0.2
    ElementTree.fromstring(drawn)
    assert "4 ms" in drawn
