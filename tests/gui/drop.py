"""Drops files onto a window of another program, as a file manager does (the XDND protocol, by ctypes).

    python3 drop.py WINDOW X Y FILE...      WINDOW: its number; X, Y: pixels of the screen; ends with 0 once taken
"""

from __future__ import annotations

import ctypes
import sys
import time
from ctypes import c_char_p, c_int, c_long, c_ulong, c_void_p
from pathlib import Path

CLIENT_MESSAGE, SELECTION_REQUEST, SELECTION_NOTIFY = 33, 30, 31
VERSION = 5
_HEAD = [("type", c_int), ("serial", c_ulong), ("send_event", c_int), ("display", c_void_p)]


class Message(ctypes.Structure):
    _fields_ = [*_HEAD, ("window", c_ulong), ("message", c_ulong), ("format", c_int), ("data", c_long * 5)]


class Request(ctypes.Structure):
    _fields_ = [*_HEAD, ("owner", c_ulong), ("requestor", c_ulong), ("selection", c_ulong), ("target", c_ulong),
                ("property", c_ulong), ("time", c_ulong)]


class Notice(ctypes.Structure):
    _fields_ = [*_HEAD, ("requestor", c_ulong), ("selection", c_ulong), ("target", c_ulong), ("property", c_ulong),
                ("time", c_ulong)]


class Event(ctypes.Union):
    _fields_ = [("type", c_int), ("message", Message), ("request", Request), ("notice", Notice), ("pad", c_long * 24)]


class Source:
    """A window that files are dragged from."""

    def __init__(self, target: int, files: list[str]) -> None:
        self._x, self._target = ctypes.CDLL("libX11.so.6"), target
        self._text = "".join(f"{Path(name).resolve().as_uri()}\r\n" for name in files).encode()
        self._x.XOpenDisplay.restype = self._x.XDefaultRootWindow.restype = c_void_p
        self._x.XDefaultRootWindow.restype = self._x.XCreateSimpleWindow.restype = c_ulong
        self._x.XInternAtom.restype = c_ulong
        self._x.XInternAtom.argtypes = [c_void_p, c_char_p, c_int]
        self._x.XSendEvent.argtypes = [c_void_p, c_ulong, c_int, c_long, c_void_p]
        self._x.XChangeProperty.argtypes = [c_void_p, c_ulong, c_ulong, c_ulong, c_int, c_int, c_char_p, c_int]
        self._x.XSetSelectionOwner.argtypes = [c_void_p, c_ulong, c_ulong, c_ulong]
        for name in ("XDefaultRootWindow", "XFlush", "XPending"):
            getattr(self._x, name).argtypes = [c_void_p]
        self._x.XNextEvent.argtypes = [c_void_p, c_void_p]
        self._x.XCreateSimpleWindow.argtypes = [c_void_p, c_ulong, c_int, c_int, c_int, c_int, c_int, c_ulong, c_ulong]
        self._display = self._x.XOpenDisplay(None)
        self._own = self._x.XCreateSimpleWindow(self._display, self._x.XDefaultRootWindow(self._display),
                                                0, 0, 1, 1, 0, 0, 0)
        self._x.XSetSelectionOwner(self._display, self._atom("XdndSelection"), self._own, 0)

    def _atom(self, name: str) -> int:
        return self._x.XInternAtom(self._display, name.encode(), 0)

    def send(self, kind: str, *data: int) -> None:
        """Tells the target something, as XDND has it."""
        event = Event()
        event.message.type, event.message.window = CLIENT_MESSAGE, self._target
        event.message.message, event.message.format = self._atom(kind), 32
        event.message.data[:] = [self._own, *data, *[0] * (4 - len(data))]
        self._x.XSendEvent(self._display, self._target, 0, 0, ctypes.byref(event))
        self._x.XFlush(self._display)

    def wait(self, kind: str, seconds: float) -> bool:
        """Whether the target said that in time; gives it the names of the files where it asks for them."""
        end, event = time.monotonic() + seconds, Event()
        while time.monotonic() < end:
            if not self._x.XPending(self._display):
                time.sleep(0.01)
                continue
            self._x.XNextEvent(self._display, ctypes.byref(event))
            if event.type == SELECTION_REQUEST:
                self._answer(event.request)
            elif event.type == CLIENT_MESSAGE and event.message.message == self._atom(kind):
                return True
        return False

    def _answer(self, asked: Request) -> None:
        self._x.XChangeProperty(self._display, asked.requestor, asked.property, asked.target, 8, 0, self._text,
                                len(self._text))
        event = Event()
        event.notice.type, event.notice.requestor = SELECTION_NOTIFY, asked.requestor
        event.notice.selection, event.notice.target = asked.selection, asked.target
        event.notice.property, event.notice.time = asked.property, asked.time
        self._x.XSendEvent(self._display, asked.requestor, 0, 0, ctypes.byref(event))
        self._x.XFlush(self._display)

    def drop(self, x: int, y: int) -> bool:
        """Enters the target, goes to a place, drops; whether that was taken."""
        files, copy = self._atom("text/uri-list"), self._atom("XdndActionCopy")
        self.send("XdndEnter", VERSION << 24, files)
        for _ in range(3):
            self.send("XdndPosition", 0, x << 16 | y, 0, copy)
            if not self.wait("XdndStatus", 5):
                return False
        self.send("XdndDrop", 0, 0)
        return self.wait("XdndFinished", 20)


if __name__ == "__main__":
    sys.exit(0 if Source(int(sys.argv[1]), sys.argv[4:]).drop(int(sys.argv[2]), int(sys.argv[3])) else 1)
