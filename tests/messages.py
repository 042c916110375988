"""What the code says to people, read from its source: the templates of messages and of errors.

    python -m tests.messages        writes the list at the end of docs/troubleshooting.md anew
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "troubleshooting.md"
ROOMS = ("near_core", "near_blender")
SILENT = {"lab", "commands"}  # the command line speaks English, and to developers
# which arguments of a call are templates of messages; phases are messages without fields
TEMPLATES = {"NearError": slice(0, 2), "Message": slice(0, 1), "say": slice(0, 1), "_damaged": slice(1, 2),
             "progress": slice(0, 1)}
MARK = "<!-- messages -->"


def list_calls() -> Iterator[tuple[str, str, list[list[ast.expr]]]]:
    """Of each call that holds templates: where it is, what is called, and what each such argument may be."""
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        if not SILENT.isdisjoint(path.relative_to(ROOT).parts):
            continue
        tree = ast.parse(path.read_text())
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            found = (*call.args, *call.keywords)[TEMPLATES.get(name, slice(0))]
            if found:
                yield f"{path.name}:{call.lineno}", name, [find_constants(each, tree) for each in found]


def find_constants(node: ast.expr, tree: ast.AST) -> list[ast.expr]:
    """What an argument may be: itself, both sides of a choice, or what its name was given in this file."""
    if isinstance(node, ast.IfExp):
        return find_constants(node.body, tree) + find_constants(node.orelse, tree)
    if isinstance(node, ast.Name):
        given = [each for each in ast.walk(tree) if isinstance(each, ast.Assign)
                 and any(getattr(target, "id", "") == node.id for target in each.targets)]
        return [found for each in given for found in find_constants(each.value, tree)] or [node]
    return [node]


def list_templates() -> tuple[set[str], list[str]]:
    """The templates of messages, and where one is put together instead, so that no table can have it."""
    templates, wrong = set(), []
    for place, _, arguments in list_calls():
        for each in (each for argument in arguments for each in argument):
            if isinstance(each, ast.Constant):
                templates.add(each.value)
            elif isinstance(each, (ast.JoinedStr, ast.BinOp)):
                wrong.append(place)
    return {text for text in templates if re.search("[A-Za-z]{2}", re.sub(r"\{.*?\}", "", text))}, wrong


def list_errors() -> dict[str, set[str]]:
    """What is wrong -> what to do, of every error."""
    errors: dict[str, set[str]] = {}
    for _, name, arguments in list_calls():
        if name == "NearError" and len(arguments) == 2:
            what, fix = ([each.value for each in argument if isinstance(each, ast.Constant)] for argument in arguments)
            for title in what:
                errors.setdefault(title, set()).update(fix)
    return errors


def describe() -> str:
    """The rows of the page's list."""
    strip = lambda text: re.sub(r"\{(\w+).*?\}", r"*\1*", text).replace("|", r"\|")
    rows = [f"| {strip(what)} | {' Or: '.join(map(strip, sorted(fixes))) or 'The message says.'} |"
            for what, fixes in sorted(list_errors().items())]
    return "\n".join(["| message | what to do |", "|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    before, _, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(f"{before}{MARK}\n{describe()}")
