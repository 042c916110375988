"""What is packed asks Python for nothing that Windows lacks, by what mypy knows of Python's library there."""

import ast
import re
from pathlib import Path

import mypy
import pytest

from release.packing import DEVELOPERS
from release.shell import ROOT

# behind a look at the system, or at whether it is there
SEEN_TO = {"os.setpriority", "os.PRIO_PROCESS", "os.posix_fallocate", "os.register_at_fork", "os.sysconf",
           "os.RTLD_LAZY", "os.RTLD_NOLOAD", "signal.SIGKILL"}


def list_names(body: list[ast.stmt], there: bool) -> set[str]:
    """The names that a stub gives to Windows, or to other systems."""
    names = set()
    for node in body:
        if isinstance(node, ast.If):
            test = ast.unparse(node.test)
            names |= list_names(node.body, there and ("'win32'" in test) == ("== 'win32'" in test)
                                and not re.search("== '(linux|darwin)'", test))
            names |= list_names(node.orelse, there and "== 'win32'" not in test)
        elif there:
            names |= {node.name} if isinstance(node, ast.FunctionDef | ast.ClassDef) else set()
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names |= {each.id for each in targets if isinstance(each, ast.Name)}
            names |= {each.asname or each.name for each in getattr(node, "names", [])}
    return names


def read_packed() -> str:
    """The code that artists get."""
    return "\n".join(path.read_text(encoding="utf-8") for room in ("near_core", "near_blender", "kernels")
                     for path in (ROOT / room).rglob("*.py") if not set(path.parts) & set(DEVELOPERS))


@pytest.mark.parametrize("module, stub, lacking", [("os", "os/__init__.pyi", {"fork", "posix_fallocate"}),
                                                   ("signal", "signal.pyi", {"SIGKILL", "SIGHUP"})])
def test_windows_has_what_is_asked_for(module, stub, lacking):
    typed = Path(mypy.__file__).parent / "typeshed" / "stdlib" / stub
    there = list_names(ast.parse(typed.read_text(encoding="utf-8")).body, True)
    asked = set(re.findall(rf"(?<![\w.]){module}\.([A-Za-z_]+)", read_packed()))
    assert asked & there and not lacking & there
    assert not {f"{module}.{name}" for name in asked - there} - SEEN_TO


def test_no_module_of_unix_is_imported():
    assert not re.search(r"^\s*(import|from) (fcntl|resource|pwd|grp|termios)\b", read_packed(), re.M)
