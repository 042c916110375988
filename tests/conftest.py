"""What every test may ask for, and what becomes of one that measures time."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """A temporary folder of this run's own: what other processes leave in the system's is not counted here."""
    config.stash[TEMPORARY] = tempfile.mkdtemp(prefix="tests-")
    tempfile.tempdir = os.environ["TMPDIR"] = config.stash[TEMPORARY]


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[TEMPORARY], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """What torch draws is the same whichever tests came before."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A test that is marked `timing` is tried once more before it counts as failed: it measures seconds against a
    limit, and what else the machine did meanwhile is no fault of ours. What fails after it, as it may leave something,
    has failed."""
    if not item.get_closest_marker("timing"):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    failed = [report for report in reports if report.failed]
    if failed and failed[0].when != "teardown":
        failed[0].outcome = AGAIN
        reports = [*failed, *runtestprotocol(item, log=False, nextitem=nextitem)]
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    return (AGAIN, "A", "TRIED AGAIN") if report.outcome == AGAIN else None


AGAIN = "tried again"
TEMPORARY = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data that tests share (NEAR_SHARED, else beside the checkout); skips where it is absent."""
    folder = Path(os.environ.get("NEAR_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data: set NEAR_SHARED to a folder with data/ (looked in {folder.name})")
    return folder


@pytest.fixture(scope="module")
def renderer():
    from near_core.render.renderer import Renderer
    return Renderer()
