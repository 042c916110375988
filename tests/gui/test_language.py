"""Messages in the language of the interface, as a window shows them."""

import pytest

from tests.gui.ball import save_ball

SCRIPT = "language"
prepare = save_ball
pytestmark = [pytest.mark.gui, pytest.mark.slow]


@pytest.mark.parametrize("language, words", [
    ("de_DE", "Ball ist aus allen Richtungen verlässlich."), ("zh_HANS", "Ball 四面八方都可信.")])
def test_a_message_is_said_in_it(events, language, words):
    assert words in events["said"][language] and "can be trusted" not in events["said"][language]


def test_what_blender_calls_otherwise_is_called_what_it_means(events):
    """Blender's German for Field of View is that of Align to View."""
    assert events["lens"] == {"de_DE": "Blickwinkel", "zh_HANS": "视野"}


def test_words_of_messages_are_our_own(events):
    """Blender's Chinese for Skin is the binding of a mesh to bones."""
    assert events["skin"] == {"de_DE": "Haut", "zh_HANS": "表皮"}
