"""What every test may ask for."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data that tests share (NEAR_SHARED, else beside the checkout); skips where it is absent."""
    folder = Path(os.environ.get("NEAR_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data: set NEAR_SHARED to a folder with data/ (looked in {folder.name})")
    return folder
