"""The rooms: who imports whom, read from the code (the README draws the same graph), and what a file may be like."""

import ast
import re
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from release import checks

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("near_core", "near_blender", "kernels", "release")
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path
           for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
FILES = [*MODULES.values(), *(ROOT / "tests").rglob("*.py"), ROOT / "build.py"]

# functions of more than 40 lines, and why each is one
LONG = {
    "near_core.commands.render.add_arguments": "a line or two for every option",
    "near_core.create.create.create_from_image": "half of it is the signature and what its arguments mean",
    "kernels.twins.grid.trace": "a specification, read from top to bottom",
    "kernels.twins.splat.project": "a specification, read from top to bottom",
    "kernels.twins.splat.rasterize": "a specification, read from top to bottom",
}

# tests of what many modules do together
TOGETHER = {"attacks/test_bad_input", "attacks/test_execution", "attacks/test_hunt", "attacks/test_odd_files",
            "blender/regression/test_regression", "blender/test_creation_faults", "blender/test_cycles_faults",
            "blender/test_faults", "blender/test_light_passes", "blender/test_made_ready", "blender/test_registration",
            "blender/test_same_pixels", "blender/test_scenes",
            "commands/test_help", "gui/test_bake", "gui/test_behind", "gui/test_composed", "gui/test_creation",
            "gui/test_draft", "gui/test_dropped", "gui/test_farm", "gui/test_gone", "gui/test_killed",
            "gui/test_language", "gui/test_matte", "gui/test_photos", "gui/test_pose", "gui/test_several",
            "gui/test_showcase", "gui/test_start", "gui/test_still", "gui/test_window", "kernels/test_determinism",
            "release/test_other_systems", "release/test_windows", "render/test_determinism", "test_build", "test_docs",
            "test_rooms"}


def imports(module: str) -> set[str]:
    """The project's modules that a module imports, in functions too; a package stands for its __init__."""
    return {target for target, _, _ in imported_names(MODULES[module], module)} & MODULES.keys()


def imported_names(path: Path, module: str) -> list[tuple[str, str, str]]:
    """What a file imports from the project: module, its own name, the name given to it. A package is its __init__."""
    package, found = module.rpartition(".")[0].split("."), []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = package[:len(package) - node.level + 1] if node.level else []
        target = ".".join([*base, *filter(None, [node.module])])
        for alias in node.names:
            name = f"{target}.{alias.name}"
            whole = next((each for each in (name, f"{name}.__init__") if each in MODULES), None)
            found.append((whole or (target if target in MODULES else f"{target}.__init__"),
                          alias.name if whole else "", alias.asname or alias.name if whole else ""))
    return found


def room_of(module: str) -> str:
    """The folder of its package that a module stands in, or the module's own name where it stands at the root."""
    return module.split(".")[1]


def drawn_order(first: str) -> dict[str, int]:
    """Room -> floor, as the README draws them, from the first on: `a, b < c < d`."""
    block = re.search(rf"```\n({first}[^`]*)```", (ROOT / "README.md").read_text())
    assert block, f"the README draws no graph that starts with {first}"
    return {name: floor for floor, names in enumerate(re.sub(r"\s+", " ", block[1]).split("<"))
            for name in re.findall(r"\w+", names)}


def test_no_file_imports_in_a_circle():
    graph = {module: imports(module) - {module} for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("package, first", [("near_core", "errors"), ("near_blender", "_core")])
def test_arrows_point_down_the_graph_of_the_readme(package, first):
    floors = drawn_order(first)
    inside = [module for module in MODULES if module.startswith(f"{package}.")]
    assert {room_of(module) for module in inside} - {"__init__", "__main__"} == floors.keys()
    wrong = [f"{module} imports {other}" for module in inside for other in imports(module)
             if room_of(module) in floors and other in inside and room_of(other) in floors
             and room_of(module) != room_of(other) and floors[room_of(other)] >= floors[room_of(module)]]
    assert not wrong, "\n".join(wrong)


def test_every_room_says_what_it_is_for():
    for folder in {path.parent for path in MODULES.values()}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


@pytest.mark.parametrize("package, doors", [("near_core", 8), ("near_blender", 14)])
def test_the_hall_has_few_doors(package, doors):
    assert len([path for path in (ROOT / package).glob("*.py") if path.stem != "__init__"]) <= doors


def test_packages_look_down_only():
    """kernels < near_core < near_blender; near_core asks for kernels in one place, and its laboratory directly."""
    for module in MODULES:
        above = {"kernels": ("near_core", "near_blender"), "near_core": ("near_blender",)}.get(module.split(".")[0], ())
        assert not [other for other in imports(module) if other.startswith(above)], module


def test_what_the_zip_holds_takes_no_more_than_blender_and_the_zip_bring():
    """At once that is numpy and Blender's own; wheels come in functions, so that what lacks one can say so."""
    blenders = sys.stdlib_module_names | {"numpy", "bpy", "bmesh", "bpy_extras", "mathutils", "blf", "gpu",
                                          "gpu_extras", "cycles"} | {*PACKAGES}
    wheels = {"onnxruntime", "safetensors", "PIL", "OpenEXR", "embreex"}
    said = {"trimesh", "certifi"}  # what is without them says so, or does without
    for name in sorted(checks.list_code() - {"__init__.py"}):
        if name.startswith(("near_core/models/near/", "near_core/published/")):  # in a Python of their own
            continue
        tree = ast.parse((ROOT / name).read_text())
        for node in ast.walk(tree):
            full = [each.name for each in node.names] if isinstance(node, ast.Import) else \
                [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            allowed = blenders if node in tree.body else blenders | wheels | said
            assert {each.partition(".")[0] for each in full} <= allowed, f"{name}: {full}"


def test_no_file_is_longer_than_400_lines():
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_functions_fit_a_screen_or_are_listed_with_the_reason():
    long = set()
    for module, path in MODULES.items():
        long |= {name for name, node in functions(ast.parse(path.read_text()), module)
                 if node.end_lineno - node.lineno + 1 > 40}
    assert long == LONG.keys()


def functions(tree: ast.AST, prefix: str) -> list[tuple[str, ast.FunctionDef]]:
    """Every function and method below a node, with its dotted name."""
    found = []
    for node in ast.iter_child_nodes(tree):
        name = f"{prefix}.{node.name}" if isinstance(node, ast.FunctionDef | ast.ClassDef) else prefix
        found += [(name, node)] if isinstance(node, ast.FunctionDef) else []
        found += functions(node, name)
    return found


def test_nobody_is_asked_of_a_path_who_raises_where_a_folder_is_shut():
    """Before Python 3.14 pathlib's is_file, is_dir and exists do; those of os.path say no."""
    asked = re.compile(r"\.(is_file|is_dir|exists)\(\)")
    found = [module for module, path in MODULES.items() if ".lab." not in module and not module.startswith("release")
             and asked.search(path.read_text())]
    assert not found


def test_no_class_name_stands_twice():
    places = defaultdict(list)
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_a_module_goes_by_its_own_name():
    """An alias may be the plural, where the name stands for one thing, or say the folder too: near_mesh, meshes. A
    kernel's twin is a twin."""
    wrong = []
    for path in FILES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for target, name, alias in imported_names(path, module):
            folder = target.removesuffix(".__init__").split(".")[-2:][0]
            allowed = {name, f"{name}s", f"{name}es", f"{folder}_{name}", f"{name}_{folder}", f"_{name}"}
            if alias not in allowed and not (folder == "twins" and alias.startswith("twin")):
                wrong.append(f"{module}: {name} as {alias}")
    assert wrong == []


def test_a_test_file_stands_in_the_room_and_has_the_name_of_what_it_tests():
    strays = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        name = path.relative_to(ROOT / "tests")
        named = {"blender": "near_blender", "kernels": "kernels", "release": "release"}
        package = named.get(name.parts[0], f"near_core/{name.parent}")
        if not list((ROOT / package).rglob(f"{path.stem.removeprefix('test_')}.py")):
            strays.add(name.with_suffix("").as_posix())
    assert strays == TOGETHER
