"""What the worker can be asked, without the process around it."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from near_core.asset.deformation import Deformation
from near_core.create.hints import Hints
from near_core.create.shot import Shot
from near_core.create.stance import Stance
from near_core.errors import NearError
from near_core.models.mini.runtime import NearMini
from near_core.scene import Lamp, Lens, Occluders, Settings, camera
from near_core.worker.operations import Operations, Request, Store

PHOTO = Path(__file__).parents[2] / "near_blender" / "assets" / "coffee.jpg"


def find(operations: Operations, path: Path, hints: Hints) -> dict:
    return operations.answer(Request({"op": "find_matte", "id": 1, "path": str(path), "hints": hints,
                                      "matting": "near"}, print))


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
    chair = find(operations, PHOTO.with_name("armchair.png"), Hints())
    upper = find(operations, PHOTO.with_name("armchair.png"), Hints((0, 0, 1, 0.5)))
    half = len(chair["matte"]) // 2
    assert chair["picture"].shape[2] == 3 and chair["matte"].max() == 255
    assert (upper["matte"][:half] == chair["matte"][:half]).all() and not upper["matte"][half:].any()


def test_a_matting_that_is_not_known_is_told():
    with pytest.raises(NearError, match="no matting named grabcut"):
        Operations().answer(Request({"op": "find_matte", "id": 1, "path": str(PHOTO), "hints": Hints(),
                                     "matting": "grabcut"}, print))


def deform(kib: int) -> Deformation:
    rest = np.zeros((kib * 1024 // 24, 3), np.float32)
    return Deformation(rest, rest)


def test_of_what_changes_with_the_frame_little_is_kept():
    store = Store(passing=100 << 10)
    store.put("asset", np.zeros(1 << 20, np.uint8), "An asset")
    for frame in range(50):
        store.put(str(frame), deform(10), "A deformation")
        assert store.hold({"asset", str(frame)}) == []
    assert store.hold({str(frame) for frame in range(50)}) == [str(frame) for frame in sorted(range(40), key=str)]


def test_what_one_picture_needs_is_kept_whatever_it_measures():
    store, asked = Store(kept=1000, passing=1000), 0
    for frame in range(4):  # two viewports at different frames, each of which alone is too large
        for view in "ab":
            names = {f"{view}{frame}{kind}{number}" for kind in ("asset", "bend") for number in range(9)}
            missing = sorted(names)
            while missing:
                for name in missing:
                    store.put(name, deform(1) if "bend" in name else np.zeros(1000, np.uint8), name)
                missing, asked = store.hold(names), asked + 1
                assert asked < 20, "it is sent again for ever"
            assert all(store.around(name) is not None for name in names if "bend" in name)
    assert asked <= 9, "only the first picture is larger than what is expected"


def test_a_pose_follows_a_mask_that_is_painted_again(tmp_path):
    if "intrinsics" not in NearMini().graphs:
        pytest.skip("near-mini is not exported: python3 build.py setup")
    operations, mask = Operations(), tmp_path / "mask.png"
    shape = Occluders(np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]), np.int32([[0, 1, 2], [0, 3, 1]]))
    request = Request({"op": "find_pose", "id": 1, "shot": Shot(str(PHOTO), str(mask), elevation=10.0), "fits": False,
                       "shape": shape.hash, "matting": "near", "stance": Stance(20.0, 10.0)}, print)
    assert operations.answer(request)["event"] == "missing"
    operations.store.put(shape.hash, shape, "the shape")
    middle = []
    for column in (5, 35):
        painted = np.zeros((40, 60), np.uint8)
        painted[10:30, column:column + 20] = 255
        Image.fromarray(painted).save(mask)
        os.utime(mask, (column, column))
        found = operations.answer(request)
        middle.append(found["camera"]["matrix_world"])
        assert found["picture"].shape == (512, 512, 3) and 0 < found["overlap"] < 1 and found["span"] > 0
    assert not np.allclose(*middle, atol=0.01)


def test_a_picture_of_numbers_that_are_none_is_refused_in_words():
    view = camera.orbit(30, 20, 2, 40, 8, 6)
    asked = {"op": "render", "id": 1, "instances": [], "camera": view, "settings": Settings(passes=("Combined",)),
             "environment": {"map": "m", "world_to_map": np.eye(3), "strength": 1.0}, "backdrop": None}
    operations = Operations()
    assert operations.answer(Request(asked, print)) == {"event": "missing", "hashes": ["m"]}
    operations.keep({"op": "put", "hash": "m", "data": np.ones((2, 4, 3), np.float32), "name": "M"})
    floor = Occluders(np.eye(3, dtype=np.float32), np.int32([[0, 1, -9]]))
    operations.keep({"op": "put", "hash": "o", "data": floor, "name": "O"})
    assert operations.answer(Request(asked, print))["passes"]["Combined"].shape == (6, 8, 4)
    lamp, light = Lamp("point", np.full((4, 4), np.nan), np.ones(3)), asked["environment"]
    for change, what in (({"camera": replace(view, far=-1.0)}, "The camera"), ({"lamps": [lamp]}, "A light"),
                         ({"occluders": "o"}, "What casts shadows"), ({"lens": Lens(np.nan, 1.0)}, "The camera's lens"),
                         ({"settings": Settings(filter_width=np.inf)}, "The scene"),
                         ({"environment": {**light, "strength": 1e300}}, "The World")):
        for _ in range(2):  # what is refused once is not taken for looked through
            with pytest.raises(NearError, match=f"{what}.*Check its values"):
                operations.answer(Request(asked | change, print))


@pytest.mark.parametrize("op", ["create_image", "find_pose"])
def test_a_photo_whose_camera_sees_nothing_is_said(op):
    view = replace(camera.orbit(0, 0, 3, 40, 8, 6), world_to_camera=np.diag([1, 1, 0, 1.0]))
    floor = Occluders(np.eye(3, dtype=np.float32), np.int32([[0, 1, 2]]))
    operations, shot = Operations(), Shot(str(PHOTO), camera=view)
    operations.keep({"op": "put", "kind": "occluders", "hash": "o", "data": floor, "name": "O"})
    with pytest.raises(NearError, match="The camera has a number"):
        operations.answer(Request({"op": op, "id": 1, "photos": [shot], "shot": shot, "shape": "o", "options": {},
                                   "matting": "near", "stance": None, "fits": False}, print))
