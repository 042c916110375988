"""The command train: one stage of the training of near-mini, each a module of `stages` with options of its own."""

from __future__ import annotations

import argparse
import runpy
import sys
from importlib.util import resolve_name

from ...commands.terminal import name_missing_package

# stage -> module
STAGES = {"latent": "stages.latent", "renderer": "stages.renderer", "intrinsics": "stages.intrinsics",
          "structure": "stages.structure", "joint": "stages.joint", "slat": "stages.slat", "matte": "stages.matte",
          "samples": "data.samples", "pool": "data.pool", "publish": "publish_weights", "ceiling": ".evaluation.ceiling"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core train`."""
    parser.add_argument("stage", choices=STAGES, help="what is trained or prepared")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="its own options: see `near_core train STAGE --help`")


def run(args: argparse.Namespace) -> int:
    """Runs one stage. Returns the exit status."""
    sys.argv = [f"near_core train {args.stage}", *args.rest]
    with name_missing_package("train"):
        try:
            runpy.run_module(resolve_name(f".{STAGES[args.stage]}", __package__), run_name="__main__")
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0
