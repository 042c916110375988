"""The command train: one stage of the training of near-mini, a function that takes a config of its own."""

from __future__ import annotations

import argparse
import importlib
import inspect
from typing import NamedTuple

from ...commands.cli import PROGRAM
from ...commands.terminal import Parser, name_missing_package
from ...errors import NearError
from ..options import add_options, read_config


class TrainingStage(NamedTuple):
    """Where a stage is: its module, the name of its config's class, and of the function that takes one."""

    module: str
    config: str
    function: str


# loaded by name: most need torch
STAGES = {
    "latent": TrainingStage(".stages.latent", "LatentConfig", "train"),
    "renderer": TrainingStage(".stages.renderer", "RendererConfig", "train"),
    "intrinsics": TrainingStage(".stages.intrinsics", "IntrinsicsConfig", "train"),
    "structure": TrainingStage(".stages.structure", "StructureConfig", "train"),
    "joint": TrainingStage(".stages.joint", "JointConfig", "train"),
    "slat": TrainingStage(".stages.slat", "SlatConfig", "train"),
    "matte": TrainingStage(".stages.matte", "MatteConfig", "train"),
    "samples": TrainingStage(".data.samples", "SamplesConfig", "write_samples"),
    "pool": TrainingStage(".data.packed_objects", "PoolConfig", "write_pool"),
    "looks": TrainingStage(".data.looks", "LooksConfig", "write_looks"),
    "publish": TrainingStage(".publish_weights", "PublishConfig", "publish"),
    "ceiling": TrainingStage("..evaluation.ceiling", "CeilingConfig", "measure_ceiling"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core train`."""
    parser.add_argument("stage", nargs="?", choices=STAGES, metavar="STAGE",
                        help=f"what is trained or prepared: {', '.join(STAGES)}")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="its own options: see `near_core train STAGE --help`")


def run(args: argparse.Namespace) -> int:
    """Runs one stage. Returns the exit status."""
    if args.stage is None:
        raise NearError("No stage is named.", f"Choose one of {', '.join(STAGES)}.")
    stage = STAGES[args.stage]
    with name_missing_package("train"):
        module = importlib.import_module(stage.module, __package__)
        config, function = getattr(module, stage.config), getattr(module, stage.function)
        parser = Parser(prog=f"{PROGRAM} train {args.stage}", description=inspect.getdoc(function))
        add_options(parser, config)
        function(read_config(config, parser.parse_args(args.rest)))
    return 0
