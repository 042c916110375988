"""Rays through ordinary triangles."""

import subprocess
import sys

import numpy as np
import pytest

from near_core.scene import Occluders
from near_core.scene.occluders import has_embree


def square(height: float) -> Occluders:
    corners = np.float32([[-1, -1, height], [1, -1, height], [1, 1, height], [-1, 1, height]])
    return Occluders(corners, np.int32([[0, 1, 2], [0, 2, 3]]))


def test_rays_are_blocked_before_their_end_only():
    pytest.importorskip("embreex")
    origin, up = np.zeros((3, 3), np.float32), np.float32([[0, 0, 1], [0, 0, 1], [0, 0, -1]])
    np.testing.assert_array_equal(square(1.0).block(origin, up, np.float32([0.9, np.inf, np.inf])), [0, 1, 0])


def test_rays_are_as_long_as_to_the_first_triangle():
    pytest.importorskip("embreex")
    up = np.float32([[0, 0, 1], [0, 0, -1]])
    np.testing.assert_allclose(square(1.5).measure(0 * up, up), [1.5, np.inf])


def test_nothing_and_infinite_vertices_block_nothing():
    up = np.float32([[0, 0, 1]])
    empty = Occluders(np.empty((0, 3), np.float32), np.empty((0, 3), np.int32))
    assert not empty.block(0 * up, up, np.float32([np.inf])).any() and not empty.are_traced
    broken = square(1.0)
    broken.vertices[0] = np.nan  # of both triangles
    assert not broken.block(0 * up, up, np.float32([np.inf])).any()


def test_without_embree_nothing_is_in_the_way(monkeypatch):
    monkeypatch.setitem(sys.modules, "embreex", None)
    up = np.float32([[0, 0, 1]])
    assert not has_embree() and not square(1.0).block(0 * up, up, np.float32([np.inf])).any()


def test_triangles_of_some_owners_and_of_glass_are_left_out():
    both = Occluders(np.concatenate([square(1.0).vertices, square(2.0).vertices]), np.int32(
        [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]), ("low", "high"), np.int32([0, 0, 1, 1]), np.arange(4) == 3)
    np.testing.assert_array_equal(both.drop(glass=True).faces, both.faces[:3])
    np.testing.assert_array_equal(both.drop(["low"], glass=True).faces, both.faces[2:3])
    np.testing.assert_array_equal(both.drop(["low", "other"]).faces, both.faces[2:])
    assert both.drop(["other"]) is both and both.drop(("low",)) is both.drop(["low"])


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory")
@pytest.mark.parametrize(("spare", "said"), [(64, "MemoryError"), (400, "[ True]")])
def test_where_embree_has_no_room_it_is_said(spare, said):
    """It does not look whether its device was made, and would end the process."""
    pytest.importorskip("embreex")
    script = (
        "import resource, sys, embreex.mesh_construction, numpy as np\n"
        "from near_core.scene import Occluders\n"
        "thing, up = Occluders(np.eye(3, dtype=np.float32), np.int32([[0, 1, 2]])), np.float32([[0, 0, 1]])\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]) * 2**20, resource.RLIM_INFINITY))\n"
        "print(thing.block(0 * up + 0.2, up, np.float32([9])))")
    done = subprocess.run([sys.executable, "-c", script, str(spare)], capture_output=True, text=True)
    assert said in done.stdout + done.stderr and done.returncode in (0, 1)
