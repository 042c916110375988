"""What a person is meant to read: messages that can be translated, the one error that carries them, and the one that
says they stopped the work."""

from __future__ import annotations

import re
from numbers import Number
from typing import Any

LONGEST = 300  # characters of a foreign message within one of ours
# what a terminal would follow, and what turns the direction of writing
_CONTROLS = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class Message(str):
    """An English sentence that remembers what it was made of, so that it can be said in another language.

    template: the sentence with {fields}, constant in the code. values: what the fields hold: numbers, numpy's too,
    text, or further messages, as of errors. Where there are none, the template is the sentence as it is.
    """

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> Message:
        if isinstance(template, Message):
            return template
        template, kept = to_unicode(template), {name: _keep(value) for name, value in values.items()}
        self = super().__new__(cls, template.format(**kept) if kept else template)
        self.template, self.values = template, kept
        return self


def to_unicode(text: str) -> str:
    """Text that can be shown and written: what a file's name holds of another encoding is a question mark."""
    return text.encode(errors="replace").decode()


def to_line(text: str) -> str:
    """Foreign text that can be shown within a line of ours: as to_unicode, and what breaks lines is a space, any other
    control character a question mark."""
    return _CONTROLS.sub(lambda found: " " if found[0].isspace() else "?", to_unicode(text))


def _keep(value: Any) -> Any:
    """What a field holds. What another library says of a file may quote the file at length, and a damaged file may hold
    numbers of any length."""
    if isinstance(value, NearError):
        return join(value.what, value.fix)
    if isinstance(value, Message):
        return value
    if isinstance(value, str):
        return to_line(value)
    if isinstance(value, Number) and (not isinstance(value, int) or abs(value) < 10**30):
        return value
    text = "a number without end" if isinstance(value, Number) else to_line(str(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def join(*messages: str, between: str = " ") -> Message:
    """One message of several, those that are empty left out; its values are they."""
    said = {f"part{number}": message for number, message in enumerate(filter(None, messages))}
    return Message(between.join(f"{{{name}}}" for name in said), **said)


class NearError(Exception):
    """A failure in the words of the person at the screen.

    what: template of one sentence, what is wrong; or a Message.
    fix: template of one sentence, what to do about it; or a Message.
    values: what the fields of both hold.
    """

    def __init__(self, what: str, fix: str = "", /, **values: Any):
        self.what, self.fix = Message(what, **values), Message(fix, **values)
        super().__init__(join(self.what, self.fix))


class Cancelled(Exception):
    """Raised out of a progress callback to stop a long call; nothing has been written."""
