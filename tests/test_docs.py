"""What the documents name is there: links, headings, files, modules, commands."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests import messages

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
ROOMS = ("near_core/", "near_blender/", "kernels/", "tests/", "docs/")


def headings(path: Path) -> set[str]:
    """The anchors that GitHub gives to a document's headings."""
    found = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@TEXTS
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        place = (path.parent / file).resolve() if file else path
        assert place.exists(), target
        assert not anchor or anchor in headings(place), target


@TEXTS
def test_files_exist(path):
    words = re.findall(r"`([^`\s]+)`", path.read_text())
    named = [word for word in words if word.startswith(ROOMS) and not re.search(r"[<A-Z*]", word)]
    for word in named:
        file, _, test = word.partition("::")
        assert (ROOT / file).exists(), word
        assert not test or f"\ndef {test}(" in (ROOT / file).read_text(), word


@pytest.mark.parametrize("name", ["promises", "security"])
def test_each_promise_names_a_test(name):
    """Rows of the tables: what is promised or threatens, what keeps it; that those are there, test_files_exist sees."""
    rows = re.findall(r"^\| (?!promise |threat |--)(.+) \| (.+) \|$", (ROOT / f"docs/{name}.md").read_text(), re.M)
    assert len(rows) > 12
    assert not [promise for promise, kept in rows if not re.search(r"`tests/[\w/]+\.py::test_\w+`", kept)]


def test_what_the_hunt_is_said_to_read_it_reads():
    from tests.attacks.targets import TARGETS

    text = (ROOT / "docs/security.md").read_text()
    named = {name for listed in re.findall(r"::test_damaged_inputs` \(([^)]+)\)", text)
             for name in re.findall(r"`(\w+)`", listed)}
    assert len(named) > 6 and named <= TARGETS.keys()
    assert f"{sum(target.count for target in TARGETS.values()):,} inputs" in text


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.parent.name != "benchmarks"],
                         ids=lambda path: path.name)
def test_prose_ends_at_120_letters(path):
    """Tables and commands cannot."""
    prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    assert not [line for line in prose.splitlines() if len(line) > 120 and not line.lstrip().startswith("|")]


@TEXTS
def test_modules_exist(path):
    text = path.read_text()
    started = re.findall(r"python -m (near_core\.[\w.]+|kernels\.\w+)", text)
    for name in started + re.findall(r"^from (near_core\S+)", text, re.M):
        assert importlib.util.find_spec(name), name


@TEXTS
def test_commands_exist(path):
    from near_core.commands.cli import COMMANDS
    from near_core.lab.training.train import STAGES

    text = path.read_text()
    for name in re.findall(r"(?:-m|`) ?near_core ([a-z][\w-]+)", text):
        assert name in COMMANDS, name
    for name in re.findall(r"(?:near_core |`)train ([a-z]+)", text):
        assert name in STAGES, name


def test_messages_that_are_explained_exist():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    told = re.findall(r"^\| `(.+?)` \|", page, re.M)
    rooms = ("near_core", "near_blender", "kernels")
    sources = [path.read_text() for room in rooms for path in (ROOT / room).rglob("*.py")]
    assert len(told) > 10
    assert not [message for message in told if not any(message in source for source in sources)]


def test_every_message_is_in_the_list():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert page.partition(messages.MARK)[2].strip() == messages.describe().strip(), "python -m tests.messages"
