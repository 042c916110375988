"""The command line, `python -m near_core <command>`: a failure is one line on standard error and exit status 2."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from .. import STOPPED, __version__
from ..errors import Cancelled, NearError
from .terminal import FAILED, Parser, describe_failure, name_missing_package, stopped, tell

PROGRAM = "python -m near_core"

# name -> the module with add_arguments(parser) and run(args) -> exit status, and what it does; those of the laboratory
# are loaded by name, since an artist's installation does not have them
COMMANDS = {
    "create": (".create", "make a neural asset from photos, a mesh or both"),
    "render": (".render", "draw assets under a light, seen by a camera"),
    "evaluate": ("..lab.evaluation.evaluate", "measure pictures of a data set against their truth"),
    "verify-reference": ("..lab.reference.reference", "compare the published networks with recorded fixtures"),
    "info": (".info", "say what this installation, or an asset file, is made of"),
    "render-dataset": ("..lab.datasets.render_dataset", "render training pictures with Cycles"),
    "train": ("..lab.training.train", "train the networks of near-mini"),
    "bench": ("..lab.bench.bench", "measure speed and memory"),
}


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if not argv or argv[0] not in COMMANDS:
            return _show_overview(argv)
        name, (module, help) = argv[0], COMMANDS[argv[0]]
        with name_missing_package(name):
            command = importlib.import_module(module, __package__)
        parser = Parser(prog=f"{PROGRAM} {name}", description=f"{help[:1].upper()}{help[1:]}.")
        command.add_arguments(parser)
        return command.run(parser.parse_args(argv[1:]))
    except (KeyboardInterrupt, Cancelled):
        return _say_stopped()
    except BrokenPipeError:
        return FAILED
    except Exception as error:
        if stopped.is_set():
            return _say_stopped()
        if os.environ.get("NEAR_DEBUG") and not isinstance(error, NearError):
            raise
        tell(f"near_core: {describe_failure(error)}")
        return FAILED


def _say_stopped() -> int:
    tell("near_core: stopped.")
    return STOPPED


def _show_overview(argv: list[str]) -> int:
    parser = Parser(prog=PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter, usage=f"{PROGRAM} COMMAND ...",
                    description="\n".join(f"  {name:<18}{text}" for name, (_, text) in COMMANDS.items()),
                    epilog=f"`{PROGRAM} COMMAND --help` lists a command's options.")
    parser.add_argument("--version", action="version", version=f"NeAR {__version__}")
    if argv and not argv[0].startswith("-"):
        raise NearError(f"There is no command {argv[0]!r}.", f"Choose one of {', '.join(COMMANDS)}.")
    parser.parse_args(argv)
    parser.print_help()
    return 0
