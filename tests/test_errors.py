"""Messages that remember what they were made of."""

from near_core.errors import Message, NearError


def test_an_error_within_a_message_can_be_translated_too():
    inner = NearError("{file} is missing.", "Check the path.", file="a.png")
    outer = Message("The World could not be baked ({reason}).", reason=inner)
    assert outer == "The World could not be baked (a.png is missing. Check the path.)."
    what, fix = outer.values["reason"].values.values()
    assert (what.template, what.values, fix.template) == ("{file} is missing.", {"file": "a.png"}, "Check the path.")
