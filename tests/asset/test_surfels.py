"""Lists of surfels: taken, turned over, put together."""

import numpy as np

from near_core.asset import concatenate
from tests.random_assets import some_surfels


def test_surfels_are_taken_turned_over_and_put_together():
    surfels = some_surfels(40)
    assert len(surfels) == 40
    few = surfels.take(np.arange(40) % 4 == 0)
    assert len(few) == 10 and (few.area == surfels.area[::4]).all()
    over = surfels.flip()
    assert (over.normal == -surfels.normal).all() and (over.shading_normal == -surfels.shading_normal).all()
    assert (over.position == surfels.position).all()
    both = concatenate([few, over])
    assert len(both) == 50 and (both.normal[10:] == over.normal).all() and (both.opacity[:10] == few.opacity).all()
