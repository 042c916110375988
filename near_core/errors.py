"""The one error a person is meant to read, and the one that says they stopped the work."""


class NearError(Exception):
    """A failure in the words of the person at the screen.

    what: one sentence, what is wrong.
    fix: one sentence, what to do about it.
    """

    def __init__(self, what: str, fix: str = ""):
        self.what, self.fix = what, fix
        super().__init__(f"{what} {fix}".strip())


class Cancelled(Exception):
    """Raised out of a progress callback to stop a long call; nothing has been written."""
