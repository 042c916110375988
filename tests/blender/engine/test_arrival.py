"""A viewport's picture is ready to be shown before it is taken."""

import numpy as np
import pytest

from near_blender import colorspace
from near_blender.client import client
from near_blender.client.worker_process import JobHandle
from near_blender.engine import arrival
from near_core import errors


def test_rows_are_upside_down_and_fit_the_texture():
    picture = np.random.default_rng(0).random((5, 3, 4), np.float32)
    picture[1, 2] = 1e9, -1e9, 0.5, 1
    rows = arrival.lay_out(picture)
    assert rows.flags.c_contiguous and np.isfinite(rows.astype(np.float16)).all()
    assert np.array_equal(rows[::-1], picture.clip(-arrival.BRIGHTEST, arrival.BRIGHTEST))
    space = 0.6131, 0.0702, 0.0206, 0.3395, 0.9164, 0.1096, 0.0474, 0.0135, 0.8698  # about ACEScg
    wide = arrival.lay_out(picture, space)
    assert np.allclose(colorspace.to_rec709(wide[0, 0, :3], space), picture[4, 0, :3], atol=1e-5)
    assert wide[0, 0, 3] == picture[4, 0, 3]
    assert arrival.lay_out(np.full((2, 2, 1), 1e10, np.float32)).max() == arrival.BRIGHTEST


@pytest.mark.parametrize("error", [errors.Cancelled(), errors.NearError("It failed.", "Try again.")])
def test_it_waits_for_the_worker_and_tells_what_it_says(error):
    good, bad = (JobHandle(client.get_worker(), {"id": 0}, {}) for _ in range(2))
    first, second = arrival.Arrival(good), arrival.Arrival(bad)
    assert not first.done and first.phase == good.phase
    good.finish({"seconds": 0.1, "passes": {"Combined": np.zeros((2, 2, 4), np.float32)}})
    bad.finish(error=error)
    assert first.take()["passes"]["Combined"].shape == (2, 2, 4) and first.take()["seconds"] == 0.1 and first.done
    with pytest.raises(type(error)):
        second.take()
