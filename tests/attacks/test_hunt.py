"""Every reader takes damaged input for what it is: it reads it or says what is wrong, in time and within its memory.

`pytest -m slow tests/attacks/test_hunt.py` reads thousands of damaged inputs; NEAR_SEED=NUMBER before it
chooses others.
"""

import os
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the child's memory is limited as Linux does it", allow_module_level=True)

from tests.attacks.hunt import Input, hunt
from tests.attacks.targets import TARGETS

CASES = sorted((Path(__file__).parent / "cases").iterdir())


def test_a_few_damaged_inputs_of_every_kind_and_those_that_were_read_wrongly_once():
    """Each file of cases is called READER-what-it-is."""
    kept = [Input(path.name.partition("-")[0], file=str(path)) for path in CASES]
    found = hunt([*kept, *(Input(name, 0, number) for name, target in TARGETS.items()
                           for number in range(min(5, target.count // 50)))])
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs(name):
    seed, count = int(os.environ.get("NEAR_SEED", 0)), TARGETS[name].count
    found = hunt([Input(name, seed, number) for number in range(count)])
    assert not found, "\n".join(found)
