"""A command's options, read from a frozen dataclass: one field, one option, each with its meaning and its unit.

`number: int = option("objects to draw", "objects", 3)` becomes `--number N`, help "objects to draw (objects; default
3)". A tuple is an option that may be given again, or one word with commas; a Literal has choices; a bool is a switch.
"""

from __future__ import annotations

import argparse
from dataclasses import MISSING, Field, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Config = TypeVar("Config")

METAVARS = {int: "N", float: "X", str: "WORD"}


def option(meaning: str, unit: str = "", default: Any = MISSING, *, separated: bool = False, positional: bool = False,
           choices: tuple[str, ...] = ()) -> Any:
    """A field of a config. unit: what its numbers count, or what its file is. separated: one word with commas."""
    return field(default=default, metadata={"meaning": meaning, "unit": unit, "separated": separated,
                                            "positional": positional, "choices": choices})


def described(kind: type, name: str) -> dict[str, Any]:
    """What option() said of a field, perhaps in a base class whose default a config replaces."""
    known = (base.__dict__.get("__dataclass_fields__", {}).get(name) for base in kind.__mro__)
    return dict(next((each.metadata for each in known if each is not None and each.metadata), {}))


def add_options(parser: argparse.ArgumentParser, kind: type) -> None:
    """An option for every field of a config."""
    hints = get_type_hints(kind)
    for each in fields(kind):
        about = described(kind, each.name)
        type_, many = _type_of(hints[each.name])
        settings: dict[str, Any] = {"help": _help(each, about)}
        if type_ is bool:
            settings |= {"action": "store_true"}
        elif get_origin(type_) is Literal:
            settings |= {"choices": get_args(type_)}
        elif about["separated"]:
            settings |= {"type": _separated(type_), "metavar": f"{METAVARS[type_]},{METAVARS[type_]}"}
        else:
            settings |= {"type": type_, "metavar": METAVARS.get(type_, "PATH")}
            if about["choices"]:
                settings |= {"choices": about["choices"], "metavar": None}
        if many and not about["separated"]:
            settings |= {"action": "append"}
        if about["positional"]:
            parser.add_argument(each.name, **settings)
        else:
            parser.add_argument(f"--{each.name.replace('_', '-')}", required=each.default is MISSING,
                                default=argparse.SUPPRESS, **settings)


def read_config(kind: type[Config], options: argparse.Namespace) -> Config:
    """The config that parsed options stand for; what was not given keeps its default."""
    given = {each.name: getattr(options, each.name) for each in fields(kind)
             if hasattr(options, each.name)}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def as_json(config: Any) -> dict[str, Any]:
    """A config as JSON has it, its class's name first."""
    plain = lambda value: str(value) if isinstance(value, Path) else value
    values = {each.name: getattr(config, each.name) for each in fields(config)}
    return {"config": type(config).__name__} | {
        name: [plain(v) for v in value] if isinstance(value, tuple) else plain(value) for name, value in values.items()}


def _type_of(hint: Any) -> tuple[Any, bool]:
    """What one value of a field is, and whether there may be several."""
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    if isinstance(hint, UnionType):
        return next(each for each in get_args(hint) if each is not NoneType), False
    return hint, False


def _separated(type_: type) -> Any:
    def parse(text: str) -> tuple:
        return tuple(type_(word) for word in text.split(",") if word)
    parse.__name__ = f"list of {type_.__name__}"  # what argparse calls it where it can't be read
    return parse


def _help(each: Field, about: dict[str, Any]) -> str:
    default = each.default
    if default is MISSING or default is None or default is False or default in ((), ""):
        default = ""
    elif isinstance(default, tuple):
        default = "default " + ",".join(map(str, default))
    else:
        default = f"default {default}"
    notes = "; ".join(note for note in (about["unit"], default) if note)
    return (about["meaning"] + (f" ({notes})" if notes else "")).replace("%", "%%")
