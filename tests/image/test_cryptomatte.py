"""Names as Cryptomatte's numbers."""

import json

import numpy as np
import pytest

from near_core.image import cryptomatte


# values of the reference implementation of MurmurHash3_x86_32 (seed 0) and of the Cryptomatte specification's examples
@pytest.mark.parametrize("name,value", [("", 0), ("hello", 0x248BFA47), ("hello, world", 0x149BBB7F),
                                        ("The quick brown fox jumps over the lazy dog", 0x2E4FF723)])
def test_names_are_hashed_as_specified(name, value):
    assert cryptomatte.hash_name(name) == value


def test_every_id_is_a_finite_number_other_than_nothing():
    ids = np.array([cryptomatte.compute_id(f"Cube.{k:03d}") for k in range(2000)])
    assert np.isfinite(ids).all() and (np.abs(ids) > 1e-38).all() and len(set(ids.tolist())) == 2000


def test_a_file_says_which_name_has_which_number():
    said = cryptomatte.describe("ViewLayer.CryptoObject", ["Cube", "Ä"])
    assert len({key.split("/")[1] for key in said}) == 1 and all(len(key.split("/")[1]) == 7 for key in said)
    manifest = json.loads(next(value for key, value in said.items() if key.endswith("/manifest")))
    assert manifest.keys() == {"Cube", "Ä"}
    assert np.uint32(int(manifest["Cube"], 16)).view(np.float32) == cryptomatte.compute_id("Cube")
