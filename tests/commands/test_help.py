"""What --help says: every option of an artist's commands with its unit and its default."""

import importlib
import re

import pytest

from near_core.commands.cli import COMMANDS, main
from near_core.commands.terminal import Parser

UNITS = r"DEGREES|METRES|FACTOR|metres|pixels"


def options(name: str) -> list:
    parser = Parser(prog=name)
    importlib.import_module(COMMANDS[name][0], "near_core.commands").add_arguments(parser)
    return [action for action in parser._actions if action.dest != "help"]


@pytest.mark.parametrize("name", ["create", "render", "info"])
def test_every_option_says_its_default(name):
    for option in options(name):
        assert option.required or "default" in option.help, option.dest
        if option.choices:
            assert re.search(rf"default: {option.default}|{option.default}[^;]*\(default\)", option.help), option.dest
        elif isinstance(option.default, (int, float)) and not isinstance(option.default, bool):
            assert f"default: {option.default:g}" in option.help, option.dest


@pytest.mark.parametrize("name", ["create", "render"])
def test_every_number_says_its_unit(name):
    numbers = [option for option in options(name) if getattr(option.type, "__name__", "") in ("float", "_parse_angle")]
    assert len(numbers) >= 3
    for option in numbers:
        assert re.search(UNITS, f"{option.metavar} {option.help}"), option.dest


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0 and shown.startswith(f"usage: python -m near_core {name} ")


@pytest.mark.parametrize("wrong, words", [("high", "neither a number nor auto"), ("", "neither")])
def test_an_angle_is_a_number_or_auto(wrong, words, capsys):
    assert main(["create", "--image", "a.png", "--elevation", wrong, "--out", "a.near"]) == 2
    assert words in capsys.readouterr().err
