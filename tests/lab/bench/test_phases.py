"""Where a picture's time goes: every function that is watched is one that pictures call."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create.create import create_from_mesh
from near_core.lab.bench import phases
from near_core.lab.bench.inputs import make_light, make_meshes, make_view
from near_core.lab.bench.timing import divide
from near_core.models.mini import runtime
from near_core.render.renderer import Renderer
from near_core.scene import Instance, Lamp, Settings


@pytest.mark.skipif("lad" not in runtime.NearMini().graphs, reason="no lighting decoder")
def test_all_that_is_watched_is_called():
    small = make_meshes()["small"]
    keg = create_from_mesh(replace(small, vertices=small.vertices * np.float32(0.3)), name="keg")
    each = {f"{owner.__name__}.{name}": [(owner, name)] for places in phases.PLACES.values() for owner, name in places}
    lamp, view = Lamp("sun", np.eye(4), np.ones(3)), make_view(0, (256, 256))
    with divide(each) as spent:
        for asset in (keg, replace(keg, skin=None)):
            Renderer().render([Instance(asset, np.eye(4))], view, make_light(0), Settings(threads=1), lamps=[lamp])
    assert set(each) - set(spent) == set()
