"""What file names say of views."""

import pytest

from near_core.create.shot import guess_view


@pytest.mark.parametrize("name, view", [
    ("chair_front", "front"), ("ChairBack", "back"), ("LEFT-01", "left"), ("mug rear", "back"),
    ("seen from above", "top"),
    ("IMG_0042", None), ("backpack", None), ("upright", None), ("front_left", None),
    ("Right.Right2", "right")])
def test_a_name_speaks_of_one_view_or_none(name, view):
    assert guess_view(name) == view
