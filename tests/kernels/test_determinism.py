"""Every kernel that draws, with what pictures hand it: any number of threads gives the same bits, every instruction set
as good as the same."""

from types import ModuleType

import numpy as np
import pytest

from kernels import ggx, library
from near_core import _kernels
from tests.drawing import make_drawing

# the others are tried in test_attention, test_splat, test_lamps, test_skin, test_corners
OTHERS = {"attention", "splat_project_backward", "splat_rasterize_backward", "lamp_ask", "lamp_glare", "skin_leave",
          "corners_find", "corners_settle", "corners_blend"}


def list_exported() -> set[str]:
    rooms = [each for each in vars(_kernels).values() if isinstance(each, ModuleType)]
    return {each.name for room in rooms for each in vars(room).values() if isinstance(each, library.Kernel)}


def watch(monkeypatch, look) -> None:
    """Draws with every kernel and has each call looked at: look(kernel, arguments before, after)."""
    call = library.Kernel.__call__

    def call_and_look(kernel, *arguments) -> None:
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        call(kernel, *arguments)
        look(lambda *given: call(kernel, *given), kernel.name, before, arguments)

    draw = make_drawing()
    monkeypatch.setattr(library.Kernel, "__call__", call_and_look)
    draw(2, "around")
    ggx.prefilter(ggx.build_pyramid(np.random.default_rng(0).random((16, 32, 3), np.float32)), np.float32([0.1]), 8)


def copy(arguments) -> list:
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]


def test_threads_change_no_bit(monkeypatch):
    seen = set()

    def look(call, name, before, after) -> None:
        for threads in () if isinstance(before[-1], np.ndarray) else (1, 5):  # a few stay on the thread that asks
            again = copy(before)
            call(*again[:-1], threads)
            for ours, theirs in zip(after, again):
                assert not isinstance(ours, np.ndarray) or ours.tobytes() == theirs.tobytes(), name
        seen.add(name)

    watch(monkeypatch, look)
    assert seen | OTHERS >= list_exported(), list_exported() - seen


def test_instruction_sets_change_next_to_nothing(monkeypatch):
    """Of what a kernel writes, less than 1 in 255 of its size differs, but for the few rays that meet an edge."""
    lower = library.ISAS[:library.ISAS.index(library.isa())]
    if not lower:
        pytest.skip("this machine has one instruction set")
    total, off = {}, {}

    def look(call, name, before, after) -> None:
        for isa in lower:
            again = copy(before)
            with monkeypatch.context() as patch:
                patch.setenv("NEAR_ISA", isa)
                call(*again)
            for old, ours, theirs in zip(before, after, again):
                if not isinstance(ours, np.ndarray) or ours.tobytes() == old.tobytes():
                    continue  # it is read alone
                ours, theirs = (each.astype(np.float64) for each in (ours, theirs))
                with np.errstate(invalid="ignore"):
                    same = (np.abs(ours - theirs) <= np.maximum(1, np.abs(ours)) / 255) | (ours == theirs)
                same |= np.isnan(ours) & np.isnan(theirs)
                total[name] = total.get(name, 0) + same.size
                off[name] = off.get(name, 0) + int((~same).sum())

    watch(monkeypatch, look)
    assert total.keys() | OTHERS >= list_exported(), list_exported() - total.keys()
    shares = {name: off[name] / total[name] for name in total}
    assert max(shares.values()) < 1e-3, shares
