"""Run inside a Blender by the tests of this folder: its script of that name, with a checkout's packages.

    blender -P run.py -- OUT SCRIPT      OUT: a folder; gets SCRIPT.json and pictures
"""

import importlib
import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]
sys.path += os.environ["NEAR_GUI_PACKAGES"].split(os.pathsep)  # the extension brings its own, a checkout does not
importlib.import_module(f"tests.gui.{sys.argv[-1]}")
