"""Messages that remember what they were made of."""

from near_core.errors import Message, NearError


def test_an_error_within_a_message_can_be_translated_too():
    inner = NearError("{file} is missing.", "Check the path.", file="a.png")
    outer = Message("The World could not be baked ({reason}).", reason=inner)
    assert outer == "The World could not be baked (a.png is missing. Check the path.)."
    what, fix = outer.values["reason"].values.values()
    assert (what.template, what.values, fix.template) == ("{file} is missing.", {"file": "a.png"}, "Check the path.")


def test_a_name_that_is_no_unicode_can_be_shown():
    """Blender and most libraries take no half of a surrogate, which stands for a byte of a file's name."""
    error = NearError("{file} is missing.", "Look for {other}.", file="caf\udce9.png", other=OSError("caf\udce9"))
    assert str(error) == "caf?.png is missing. Look for caf?." and error.what.values["file"] == "caf?.png"
    assert Message("Caf\udce9.") == "Caf?." and Message("{a}", a=Message("\u00e9")) == "\u00e9"


def test_what_is_quoted_stays_within_its_line():
    error = NearError("{file} is missing.", "Look for {other}.", file="a\nb\x1b[2J", other=OSError("c\r\u202ed\x9b"))
    assert str(error) == "a b?[2J is missing. Look for c ?d?."
