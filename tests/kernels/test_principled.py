"""kernels.principled against its twin."""

import numpy as np
import pytest

from kernels import principled
from kernels.library import ISAS, isa
from kernels.twins import principled as twin


@pytest.mark.parametrize("variant", ISAS)
def test_evaluate_follows_its_twin(monkeypatch, variant):
    monkeypatch.setenv("NEAR_ISA", variant)
    if isa() != variant:
        pytest.skip(f"this machine has no {variant}")
    rng, count = np.random.default_rng(0), 3000
    draw = lambda *shape: rng.uniform(size=shape).astype(np.float32)
    given = (draw(count, 3), draw(count), draw(count), draw(count), 5 * draw(count, 3, 3), 5 * draw(count, 2, 2, 3),
             0.8 + 0.4 * draw(64, 64), 0.04)
    given[1][:2], given[3][:3] = (0, 1), (1, 0, 1e-3)
    made = principled.evaluate(*given)
    np.testing.assert_allclose(made, twin.evaluate(*given), rtol=2e-5, atol=1e-6)
    assert np.array_equal(made, principled.evaluate(*given, threads=1))
