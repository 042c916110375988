"""onnxruntime, and only what it is for."""

from __future__ import annotations

import os
from typing import Any


def load_onnxruntime() -> Any:
    """The module onnxruntime, told before it is loaded and after to tell nobody what it does.

    As its makers publish it, it sends them every network that is opened, and what runs it, and keeps a name for this
    machine in the person's home. Whoever imports it elsewhere brings that back. Raises ImportError.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # Linux and macOS: looked at while it is loaded
    import onnxruntime
    onnxruntime.disable_telemetry_events()  # Windows: the system's own
    return onnxruntime
