"""Every kernel that draws, with what a picture hands it: any number of threads gives the same bits."""

import numpy as np

from kernels import around, attention, ggx, grid, lamps, library, smooth, specular, splat, splat_gradients, triangles
from tests.drawing import make_drawing

# the others are tried in test_attention and test_splat
OTHERS = {"attention", "splat_project_backward", "splat_rasterize_backward"}


def test_threads_change_no_bit(monkeypatch):
    call, seen = library.Kernel.__call__, set()

    def call_thrice(kernel, *arguments) -> None:
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        call(kernel, *arguments)
        for threads in (1, 5):
            again = [a.copy() if isinstance(a, np.ndarray) else a for a in before]
            call(kernel, *again[:-1], threads)
            for ours, theirs in zip(arguments, again):
                assert not isinstance(ours, np.ndarray) or ours.tobytes() == theirs.tobytes(), kernel.name
        seen.add(kernel.name)

    draw = make_drawing()
    monkeypatch.setattr(library.Kernel, "__call__", call_thrice)
    draw(2)
    ggx.prefilter(ggx.build_pyramid(np.random.default_rng(0).random((16, 32, 3), np.float32)), np.float32([0.1]), 8)
    rooms = around, attention, ggx, grid, lamps, smooth, specular, splat, splat_gradients, triangles
    exported = {each.name for room in rooms for each in vars(room).values() if isinstance(each, library.Kernel)}
    assert seen | OTHERS >= exported, exported - seen
