"""near_core.worker.protocol: messages arrive as they were sent, and only those that may."""

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest

from near_core.create.hints import Hints
from near_core.errors import NearError
from near_core.scene import Lamp, Occluders, Settings, camera
from near_core.scene.probe import make_empty
from near_core.worker import protocol


def make_channels(folder: Path) -> tuple[protocol.Channel, protocol.Channel]:
    (a_read, b_write), (b_read, a_write) = os.pipe(), os.pipe()
    open_ = os.fdopen
    return (protocol.Channel(open_(a_read, "rb"), open_(a_write, "wb"), folder / "b", folder / "a"),
            protocol.Channel(open_(b_read, "rb"), open_(b_write, "wb"), folder / "a", folder / "b"))


def test_messages_arrive_as_they_were_sent(tmp_path):
    here, there = make_channels(tmp_path)
    view = camera.orbit(10, 20, 3, 40, 32, 16)
    arrays = [np.arange(12).reshape(3, 4).T, np.empty((0, 3), np.float32), np.float16([1.5]), np.zeros((), bool)]
    here.send({"arrays": arrays, "view": view, "settings": Settings(passes=("Combined",)), "bytes": b"\0near\0",
               "pair": (1, "two"), "number": np.float32(0.5)})
    message = there.receive()
    for sent, got in zip(arrays, message["arrays"]):
        assert got.dtype == sent.dtype and got.shape == sent.shape and (got == sent).all()
    assert message["bytes"].tobytes() == b"\0near\0" and message["pair"] == (1, "two") and message["number"] == 0.5
    assert message["settings"] == Settings(passes=("Combined",))
    assert (message["view"].world_to_camera == view.world_to_camera).all() and message["view"].width == 32


def test_arrays_that_are_all_empty_arrive(tmp_path):
    here, there = make_channels(tmp_path)
    here.send({"op": "find_matte", "hints": Hints()})
    assert there.receive()["hints"].inside.shape == (0, 3)


def test_what_lights_a_picture_arrives_whole(tmp_path):
    here, there = make_channels(tmp_path)
    lamp = Lamp("spot", np.eye(4), np.ones(3), unblocked_by=("wall", "glass"))
    wall = Occluders(np.zeros((3, 3), np.float32), np.int32([[0, 1, 2]]), ("wall",), np.int32([0]))
    here.send({"lamps": [lamp], "occluders": wall, "probe": make_empty(np.zeros(3), 4)})
    message = there.receive()
    assert message["lamps"][0].key == lamp.key and message["occluders"].hash == wall.hash
    assert message["probe"].hash == make_empty(np.zeros(3), 4).hash


def test_array_file_grows_and_starts_over_when_all_was_taken(tmp_path):
    here, there = make_channels(tmp_path)
    for round_ in range(3):
        for k in range(3):
            here.send({"a": np.full(300_000, k, np.float32)})
        for k in range(3):
            assert (there.receive()["a"] == k).all()
        there.send({"done": round_})
        assert here.receive() == {"done": round_}  # reads the three acknowledgements on the way
    assert (tmp_path / "a").stat().st_size <= 3 * 4 * 300_000 * 2, "space must be used again"


def test_a_large_message_takes_little_more_room_than_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(protocol, "MAX_SPARE", 1 << 20)
    here, there = make_channels(tmp_path)
    for megabytes in (1, 3, 5):
        here.send({"a": np.zeros(megabytes << 20, np.uint8)})
        assert len(there.receive()["a"]) == megabytes << 20
    assert (tmp_path / "a").stat().st_size <= 10 << 20, "three messages, the last of which 5 MB, and 1 MB to spare"


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no limit of a file's size to run into")
def test_no_room_for_arrays_is_said_and_does_not_end_the_conversation(tmp_path):
    import resource
    here, there = make_channels(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, before[1]))
    try:
        with pytest.raises(NearError, match="temporary files.*no room.*File Paths"):
            here.send({"a": np.zeros(1 << 20, np.float32)})
        here.send({"a": np.ones(1000, np.float32)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert there.receive()["a"].all()


@pytest.mark.parametrize("value", [np.array([object()]), object(), {"a": {1, 2}}, lambda: 0])
def test_only_listed_types_can_be_sent(tmp_path, value):
    here, _ = make_channels(tmp_path)
    with pytest.raises(TypeError):
        here.send({"value": value})


@pytest.mark.timing
def test_a_message_of_many_colons_is_looked_through_once(tmp_path):
    channel = protocol.Channel(io.BytesIO(), io.BytesIO(), tmp_path / "in", tmp_path / "out")
    start = time.process_time()
    frame = {"message": {"what": {"$message": ["{" + ":" * 100_000, {}]}}, "offsets": []}
    assert channel._open(frame)["what"].endswith(":")
    assert time.process_time() - start < 5
    channel.close()
