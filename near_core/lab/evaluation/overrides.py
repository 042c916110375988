"""Fields of configs, set by words such as `reconstruction.normal_blend=0.4`."""

from __future__ import annotations

import math
import types
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ...errors import NearError

Configs = TypeVar("Configs")
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


def override(configs: Configs, assignments: Sequence[str]) -> Configs:
    """The configs with some fields changed.

    configs: a frozen dataclass whose fields are frozen dataclasses, which may have such fields, too. assignments: each
    `config.field=value`; the value is read by the field's type, of a tuple as `1,2,3`. Raises NearError, which lists
    the choices, for a name that is not there or a value of another type.
    """
    for text in assignments:
        name, equals, value = text.partition("=")
        words = name.strip().split(".")
        if not equals or len(words) < 2:
            raise NearError(f"{text!r} sets nothing.", "Write it as reconstruction.normal_blend=0.4.")
        configs = _set(configs, words, value.strip(), "")
    return configs


def _set(config: Configs, words: list[str], value: str, prefix: str) -> Configs:
    """A config with the field that words lead to set to a value; prefix: the words that led to the config itself."""
    field, *rest = words
    _require(field, config, "field" if prefix else "config", prefix)
    inner: Any = getattr(config, field)
    if rest and is_dataclass(inner):
        return replace(config, **{field: _set(inner, rest, value, f"{prefix}{field}.")})  # type: ignore[type-var]
    kind = get_type_hints(type(config))[field]
    try:
        return replace(config, **{field: _refuse(value) if rest else _parse(kind, value)})  # type: ignore[type-var]
    except ValueError as error:
        raise NearError(f"{prefix}{field} takes {_describe(kind)}, not {value!r}.",
                        f"It is {_write(inner)} now.") from error


def list_changes(configs: Any, plain: Any, prefix: str = "") -> dict[str, Any]:
    """`config.field` -> value, of every field that differs between two configs as in `override`."""
    found = {}
    for field in fields(configs):
        ours, theirs, name = getattr(configs, field.name), getattr(plain, field.name), prefix + field.name
        if is_dataclass(ours):
            found |= list_changes(ours, theirs, f"{name}.")
        elif ours != theirs:
            found[name] = ours
    return found


def _require(name: str, owner: Any, what: str, prefix: str) -> None:
    names = [field.name for field in fields(owner)]
    if name not in names:
        raise NearError(f"There is no {what} {prefix}{name}.", f"Choose one of {', '.join(names)}.")


def _parse(kind: Any, text: str) -> Any:
    """The value that a text stands for. Raises ValueError where it stands for none of this type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        parts = [part.strip() for part in text.strip("()[]").split(",")]
        kinds = [inner[0]] * len(parts) if inner[1:] == (...,) else list(inner)
        if len(parts) != len(kinds):
            raise ValueError(f"{len(parts)} values instead of {len(kinds)}")
        return tuple(_parse(each, part) for each, part in zip(kinds, parts))
    if origin is Literal:
        return {str(choice): choice for choice in inner}[text] if text in map(str, inner) else _refuse(text)
    if origin in (Union, types.UnionType):
        others = [each for each in inner if each is not type(None)]
        return None if text.lower() == "none" and len(others) < len(inner) else _parse(others[0], text)
    if kind is bool:
        return {"true": True, "false": False}[text] if text in ("true", "false") else _refuse(text)
    if kind is float:
        return float(text) if math.isfinite(float(text)) else _refuse(text)
    return kind(text) if kind in (int, str) else _refuse(text)


def _refuse(text: str) -> Any:
    raise ValueError(text)


def _describe(kind: Any) -> str:
    """What may stand behind the equals sign, in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        return (f"{WORDS.get(inner[0], 'a value')} or several, separated by commas" if inner[1:] == (...,) else
                f"{len(inner)} values separated by commas, each {WORDS.get(inner[0], 'a value')}")
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in (Union, types.UnionType):
        return " or ".join("none" if each is type(None) else _describe(each) for each in inner)
    return WORDS.get(kind, "nothing that can be written here")


def _write(value: Any) -> str:
    return ",".join(map(_write, value)) if isinstance(value, tuple) else str(value).lower()
