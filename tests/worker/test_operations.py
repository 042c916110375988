"""What the worker can be asked, without the process around it."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from near_core.create.hints import Hints
from near_core.errors import NearError
from near_core.models.mini.runtime import NearMini
from near_core.worker.operations import Operations, Request

PHOTO = Path(__file__).parents[2] / "near_blender" / "assets" / "coffee.jpg"


def find(operations: Operations, path: Path, hints: Hints) -> dict:
    return operations.answer(Request({"op": "find_matte", "id": 1, "path": str(path), "hints": hints}, print))


def test_a_matte_follows_hints_and_the_photo_is_kept(tmp_path):
    if "matte" not in NearMini().graphs:
        pytest.skip("near-mini is not exported: python3 build.py setup")
    operations = Operations()
    first = find(operations, PHOTO, Hints())
    assert first["picture"].dtype == first["matte"].dtype == np.uint8
    assert first["picture"].shape[:2] == first["matte"].shape and first["matte"].max() > 200
    boxed = find(operations, PHOTO, Hints((0.25, 0.0, 0.75, 0.7)))
    assert (boxed["picture"] == first["picture"]).all() and not boxed["matte"][:, :boxed["matte"].shape[1] // 5].any()
    for number in range(2):  # saved again meanwhile
        Image.new("RGB", (64, 48), (90 * number, 0, 0)).save(tmp_path / "a.png")
        os.utime(tmp_path / "a.png", (number, number))
        shown = find(operations, tmp_path / "a.png", Hints())["picture"]
        assert shown.shape == (48, 64, 3) and (shown[..., 0] == 90 * number).all()
    with pytest.raises(NearError, match="transparency already says"):
        find(operations, PHOTO.with_name("armchair.png"), Hints())
