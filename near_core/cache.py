"""The last few results of a function, by key."""

from __future__ import annotations

from collections import OrderedDict


class Recent(OrderedDict):
    """The last few results by key."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def get_or(self, key, make):
        if key not in self:
            self[key] = make()
            while len(self) > self.size:
                self.popitem(last=False)
        self.move_to_end(key)
        return self[key]
