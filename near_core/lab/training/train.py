"""The command train: one stage of the training of near-mini, a function that takes a config of its own."""

from __future__ import annotations

import argparse
import importlib
import inspect
from typing import NamedTuple

from ...commands.terminal import Parser, name_missing_package
from ..options import add_options, read_config


class Stage(NamedTuple):
    """Where a stage is: its module, the name of its config's class, and of the function that takes one."""

    module: str
    config: str
    function: str


# loaded by name: most need torch
STAGES = {
    "latent": Stage(".stages.latent", "LatentConfig", "train"),
    "renderer": Stage(".stages.renderer", "RendererConfig", "train"),
    "intrinsics": Stage(".stages.intrinsics", "IntrinsicsConfig", "train"),
    "structure": Stage(".stages.structure", "StructureConfig", "train"),
    "joint": Stage(".stages.joint", "JointConfig", "train"),
    "slat": Stage(".stages.slat", "SlatConfig", "train"),
    "matte": Stage(".stages.matte", "MatteConfig", "train"),
    "samples": Stage(".data.samples", "SamplesConfig", "write_samples"),
    "pool": Stage(".data.packed_objects", "PoolConfig", "write_pool"),
    "publish": Stage(".publish_weights", "PublishConfig", "publish"),
    "ceiling": Stage("..evaluation.ceiling", "CeilingConfig", "measure_ceiling"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core train`."""
    parser.add_argument("stage", choices=STAGES, help="what is trained or prepared")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="its own options: see `near_core train STAGE --help`")


def run(args: argparse.Namespace) -> int:
    """Runs one stage. Returns the exit status."""
    stage = STAGES[args.stage]
    with name_missing_package("train"):
        module = importlib.import_module(stage.module, __package__)
        config, function = getattr(module, stage.config), getattr(module, stage.function)
        parser = Parser(prog=f"near_core train {args.stage}", description=inspect.getdoc(function))
        add_options(parser, config)
        function(read_config(config, parser.parse_args(args.rest)))
    return 0
