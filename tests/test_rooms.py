"""near_core's rooms: who imports whom, read from the code. The README draws the same graph."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "near_core"
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in CORE.rglob("*.py")}


def imports(module: str) -> set[str]:
    """The modules of near_core that a module imports, in functions too; a package stands for its __init__."""
    package = module.rpartition(".")[0].split(".")
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = package[:len(package) - node.level + 1] if node.level else []
        target = ".".join([*base, *filter(None, [node.module])])
        for alias in node.names:
            name = f"{target}.{alias.name}"
            found.add(name if name in MODULES or f"{name}.__init__" in MODULES else target)
    inside = (name for name in found if name.startswith("near_core"))
    return {name if name in MODULES else f"{name}.__init__" for name in inside} & MODULES.keys()


def room_of(module: str) -> str:
    """The folder of near_core that a module stands in, or the module's own name where it stands at the root."""
    return module.split(".")[1]


def drawn_order() -> dict[str, int]:
    """Room -> floor, as the README draws them: `a, b < c < d`."""
    block = re.search(r"```\n(errors[^`]*)```", (ROOT / "README.md").read_text())
    assert block, "the README draws no graph that starts with `errors`"
    return {name: floor for floor, names in enumerate(re.sub(r"\s+", " ", block[1]).split("<"))
            for name in re.findall(r"\w+", names)}


def test_no_file_imports_in_a_circle():
    graph = {module: imports(module) - {module} for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_arrows_point_down_the_graph_of_the_readme():
    floors = drawn_order()
    rooms = {room_of(module) for module in MODULES} - {"__init__", "__main__"}
    assert rooms == floors.keys()
    wrong = [f"{module} imports {other}" for module in MODULES for other in imports(module)
             if room_of(module) in floors and room_of(other) in floors and room_of(module) != room_of(other)
             and floors[room_of(other)] >= floors[room_of(module)]]
    assert not wrong, "\n".join(wrong)


def test_every_room_says_what_it_is_for():
    for folder in [CORE, *(p for p in CORE.rglob("*") if p.is_dir() and list(p.glob("*.py")))]:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


def test_the_hall_has_eight_doors_at_most():
    assert len([path for path in CORE.glob("*.py") if path.stem != "__init__"]) <= 8
