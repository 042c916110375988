"""What bench measures: the sample mesh in two sizes, maps that differ, cameras that go around."""

from types import SimpleNamespace

import numpy as np

from near_core.lab.bench.inputs import make_crowd, make_crowd_view, make_light, make_meshes, make_view
from near_core.render.sight import find_seen


def test_the_assets_are_of_two_sizes_and_stand_in_the_cube():
    made = make_meshes()
    small, large = (np.ptp(made[name].vertices, axis=0).max() for name in ("small", "large"))
    assert np.allclose(small, 0.75, atol=1e-5) and 1 <= large < 1.05
    assert len(made["large"].faces) == len(made["small"].faces) + 64  # a floor
    assert made["large"].material_index.max() < len(made["large"].materials)


def test_every_map_is_another_one_and_every_camera_stands_elsewhere():
    assert make_light(0).hash == make_light(0).hash != make_light(1).hash
    first, second = (make_view(n, (64, 32)) for n in (0, 1))
    assert (first.width, first.height) == (64, 32)
    assert np.allclose(np.linalg.norm(first.position), 2) and np.allclose(np.linalg.norm(second.position), 2)
    assert np.linalg.norm(first.position - second.position) > 0.1


def test_a_crowd_is_all_in_its_picture():
    corners = np.array([[0, 0, 0], [63, 63, 63]])
    crowd = make_crowd([SimpleNamespace(coords=corners, box=corners + [[0], [1]])], 50)
    view = make_crowd_view(1, 50, (192, 108))
    assert len(crowd) == 50 and len(find_seen(crowd, view, "final")) >= 50
    at = np.array([each.matrix[:3, 3] for each in crowd]) @ view.world_to_camera[:3, :3].T + view.world_to_camera[:3, 3]
    x, y, z = view.intrinsics @ at.T
    assert (0 < x / z).all() and (x / z < 192).all() and (0 < y / z).all() and (y / z < 108).all()
