"""Options read from a frozen dataclass."""

from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Literal

import pytest

from near_core.commands.terminal import Parser
from near_core.errors import NearError
from near_core.lab.options import add_options, as_json, option, read_config


@dataclass(frozen=True, kw_only=True)
class Base:
    out: Path = option("where it goes", "folder")
    rate: float = option("how fast", "per step", 1.0)


@dataclass(frozen=True, kw_only=True)
class Config(Base):
    stage: str = option("which one", positional=True, choices=("a", "b"))
    data: tuple[Path, ...] = option("what is read; may be given again", "folder", ())
    counts: tuple[int, ...] = option("how many", "discs", (1, 2), separated=True)
    start: Path | None = option("where from", "file", None)
    limit: int | None = option("at most, 50 % of all", "objects", None)
    know: Literal["both", "one"] = option("what is known", "", "both")
    prepare: bool = option("only prepare", default=False)
    rate: float = 0.5


def parse(*words):
    parser = Parser(prog="test")
    add_options(parser, Config)
    return read_config(Config, parser.parse_args(words)), parser


def test_what_is_not_given_keeps_its_default():
    config, _ = parse("a", "--out", "x")
    assert config == Config(out=Path("x"), stage="a")
    assert config.rate == 0.5 and config.counts == (1, 2) and not config.prepare
    with pytest.raises(FrozenInstanceError):
        config.rate = 1


def test_values_have_the_types_of_their_fields():
    config, _ = parse("b", "--out", "x", "--data", "p", "--data", "q", "--counts", "3,4", "--start", "s", "--limit",
                      "7", "--know", "one", "--prepare", "--rate", "1e-3")
    assert config == Config(out=Path("x"), stage="b", data=(Path("p"), Path("q")), counts=(3, 4), start=Path("s"),
                            limit=7, know="one", prepare=True, rate=1e-3)
    assert as_json(config) == {
        "config": "Config", "out": "x", "rate": 1e-3, "stage": "b", "data": ["p", "q"], "counts": [3, 4], "start": "s",
        "limit": 7, "know": "one", "prepare": True}


def test_help_says_meaning_unit_and_default():
    shown = " ".join(parse("a", "--out", "x")[1].format_help().split())
    for text in ("how fast (per step; default 0.5)", "how many (discs; default 1,2)", "where from (file)",
                 "at most, 50 % of all (objects)", "where it goes (folder)", "{a,b}", "{both,one}"):
        assert text in shown


@pytest.mark.parametrize("words", [
    ("a",), ("--out", "x"), ("c", "--out", "x"), ("a", "--out", "x", "--limit", "few"),
    ("a", "--out", "x", "--counts", "1,b"), ("a", "--out", "x", "--know", "two"), ("a", "--out", "x", "--other", "1")])
def test_what_fits_no_field_is_refused(words):
    with pytest.raises(NearError):
        parse(*words)
