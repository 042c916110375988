"""Procedural materials: patterns tile, values are those of surfaces that exist."""

import numpy as np

from near_core.lab.datasets import materials


def test_patterns_continue_over_their_edges():
    for name, maker in materials.PATTERN_MAKERS.items():
        if name in ("checker", "bricks", "weave"):
            continue  # hard edges everywhere
        for seed in range(3):
            field = maker(np.random.default_rng(seed))
            assert field.shape == (materials.SIZE,) * 2 and 0 <= field.min() and field.max() <= 1, name
            for axis in (0, 1):
                inside = np.abs(np.diff(field, axis=axis)).mean()
                over = np.abs(np.take(field, 0, axis) - np.take(field, -1, axis)).mean()
                assert over < 3 * inside + 0.02, (name, seed, axis)


def test_materials_stay_physical_and_varied():
    drawn = [materials.draw_uniform(np.random.default_rng(seed)) for seed in range(300)]
    assert all(0 <= c <= 1 for m in drawn for c in m.color)
    assert all(0.04 <= m.roughness <= 1 and 0 <= m.metallic <= 1 for m in drawn)
    assert 0.1 < np.mean([m.metallic > 0.5 for m in drawn]) < 0.4
    assert {m.kind for m in drawn} == set(materials.KINDS)
