"""near_core.worker.answers: what fits its request passes, what is of another form is none."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.scene import Occluders
from near_core.worker import answers, operations, protocol
from tests.attacks.answers import PAIRS

DONE = {request["op"]: (event, request) for request, event in PAIRS if event["event"] == "done"}


@pytest.mark.parametrize("request_, event", PAIRS, ids=lambda each: each.get("op", each.get("event")))
def test_what_is_asked_for_is_let_through(request_, event):
    answers.check(event, request_)


def is_refused(op: str, **changed) -> bool:
    event, request = DONE[op]
    try:
        answers.check(event | changed, request)
    except protocol.MALFORMED:
        return True
    return False


def test_pictures_of_another_size_number_type_or_name_are_none():
    for op in ("render", "draw"):
        passes = DONE[op][0]["passes"]
        picture = passes["Combined"]
        for wrong in (picture[:, :-1], picture[..., :3], picture.astype(np.float64), picture[0], None):
            assert is_refused(op, passes=passes | {"Combined": wrong})
        assert is_refused(op, passes={}) and is_refused(op, passes=[]) and is_refused(op, warning=5)
    assert is_refused("draw", stale=None)
    assert is_refused("draw", passes={"CryptoObject00": DONE["draw"][0]["passes"]["CryptoObject00"]})


def test_meshes_whose_indices_lead_outside_are_none():
    """Blender would read there."""
    mesh = DONE["textures"][0]["mesh"]
    assert is_refused("textures", mesh=None) and is_refused("textures", notes="Text")
    assert is_refused("textures", matrix=np.eye(3))
    for wrong in ({"faces": mesh.faces + 1}, {"faces": mesh.faces - 1}, {"material_index": np.int32([1])},
                  {"corner_uv": mesh.corner_uv[:, :2]}, {"materials": (replace(mesh.materials[0], roughness="x"),)}):
        assert is_refused("textures", mesh=replace(mesh, **wrong))


def test_what_assets_see_is_whole_and_of_numbers():
    around, floor = DONE["probe"][0]["probes"][0], DONE["occluders"][0]["occluders"]
    assert is_refused("probe", probes=[]) and is_refused("probe", probes=[None])
    assert is_refused("probe", probes=[replace(around, radiance=around.radiance * np.float32(np.nan))])
    assert is_refused("occluders", occluders=Occluders(floor.vertices, floor.faces + 1))
    assert is_refused("world", maps={"seen": DONE["world"][0]["maps"]["seen"]})
    assert is_refused("world", maps={name: each[:, :5] for name, each in DONE["world"][0]["maps"].items()})
    for op, name in (("lamp", "pattern"), ("pixels", "pixels")):
        values = DONE[op][0][name]
        for wrong in (values[0], values[:0], np.repeat(values, 2, 2), values.astype(np.uint8), None):
            assert is_refused(op, **{name: wrong})


def test_every_operation_has_answers():
    assert operations.OPERATIONS.keys() <= answers.ANSWERS.keys()
    with pytest.raises(protocol.MALFORMED):
        answers.check({"event": "done"}, {"op": "of tomorrow"})


def test_events_on_the_way_are_looked_at_too():
    photo = {"op": "create_image"}
    progress = {"event": "progress", "phase": "", "fraction": 0.5}
    for event in (progress | {"phase": 5}, progress | {"fraction": "x"}, progress | {"fraction": float("nan")},
                  {"event": "nonsense"},
                  {"event": "preview", "matte": [[1.0]], "crop": [[1.0]]}, {"event": "missing", "hashes": [[]]},
                  {"event": "error", "what": None, "fix": ""}, {"event": []}):
        with pytest.raises(protocol.MALFORMED):
            answers.check(event, photo)


def test_angles_are_those_of_each_photo_or_of_none():
    assert not is_refused("create_image", views=[]) and not is_refused("create_image", views=[None, (180.0, -90.0)])
    for wrong in ([None], [None] * 3, [(1.0,), None], [(10**400, 0.0), None], [(np.nan, 0.0), None], 5):
        assert is_refused("create_image", views=wrong)
