"""What the worker runs on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import numpy as np

from .. import __version__
from ..models.onnx import load_onnxruntime


def describe_runtime() -> dict[str, Any]:
    """What this process runs on: versions, and what is wrong with onnxruntime ("" where nothing is)."""
    problem, version, providers = "", "", []
    try:
        onnxruntime = load_onnxruntime()
        version, providers = onnxruntime.__version__, onnxruntime.get_available_providers()
    except Exception as error:  # whatever another add-on's copy does on import, Check Setup shows it
        problem = f"{type(error).__name__}: {error}"
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = ""
    return {"version": __version__, "python": platform.python_version(), "numpy": np.__version__, "torch": torch,
            "onnxruntime": version, "providers": providers, "onnxruntime_problem": problem, "pid": os.getpid()}
