"""What every test may ask for."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """A temporary folder of this run's own: what other processes leave in the system's is not counted here."""
    config.stash[TEMPORARY] = tempfile.mkdtemp(prefix="tests-")
    tempfile.tempdir = os.environ["TMPDIR"] = config.stash[TEMPORARY]


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[TEMPORARY], ignore_errors=True)


TEMPORARY = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data that tests share (NEAR_SHARED, else beside the checkout); skips where it is absent."""
    folder = Path(os.environ.get("NEAR_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data: set NEAR_SHARED to a folder with data/ (looked in {folder.name})")
    return folder
