"""kernels.attention against its twin in float64."""

import numpy as np
import pytest

from kernels import attention
from kernels.twins import attention as twin


@pytest.fixture
def unit():
    if not attention.available():
        pytest.skip("this machine has no matrix unit, or the system does not grant it")


def random(rows, heads, count, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    q, k, v = (rng.normal(size=size).astype(np.float32)
               for size in ((rows, heads, 64), (heads, count, 64), (heads, count, 64)))
    return q * np.float32(scale), k, v


def error(q, k, v):
    return np.abs(attention.attention(q, k, v) - twin.attention(*(each.astype(float) for each in (q, k, v)))).max()


@pytest.mark.parametrize("rows, heads, count", [
    (1, 1, 1), (15, 2, 31), (32, 1, 128), (33, 3, 129), (1025, 2, 300), (70, 1, 4096)])
def test_follows_its_twin(unit, rows, heads, count):
    assert error(*random(rows, heads, count)) < 3e-5


def test_many_keys_average_the_error(unit):
    assert error(*random(200, 2, 4096, 0.3)) < 2e-6


@pytest.mark.parametrize("scale", [10, 1000])
def test_large_scores(unit, scale):
    """A score is off by about 2^-17 of itself, and its weight by as much of a whole."""
    q, k, v = random(100, 2, 500, scale)
    assert error(q, k, v) < 2**-17 * np.abs(np.einsum("nhd,htd->hnt", q, k) / 8).max()


def test_scores_that_rise_and_fall_from_key_to_key(unit):
    q, k, v = random(40, 1, 700)
    k = np.sort(np.abs(k), 1)
    assert error(np.abs(q), k, v) < 3e-5
    assert error(-np.abs(q), k, v) < 3e-5


def test_what_is_not_a_number_stays_so_in_its_own_row(unit):
    q, k, v = random(40, 2, 200)
    q[7, 1, 5] = np.nan
    wrong = np.isnan(attention.attention(q, k, v)).all(2)
    assert wrong[7, 1] and wrong.sum() == 1


def test_any_number_of_threads_gives_the_same_bits(unit):
    arrays = random(2100, 3, 200)
    expected = attention.attention(*arrays, threads=1)
    assert all(np.array_equal(attention.attention(*arrays, threads=n), expected) for n in (2, 3, 7))


def test_no_rows(unit):
    q, k, v = random(0, 2, 10)
    assert attention.attention(q, k, v).shape == (0, 2, 64)


def test_wrong_arguments_are_named():
    q, k, v = random(4, 2, 6)
    for name, arrays in {"q": (q[..., :32].copy(), k, v), "k": (q, k[:1], v), "v": (q, k, v[:, :3].copy())}.items():
        with pytest.raises(ValueError, match=f"^{name} must"):
            attention.attention(*arrays)
    with pytest.raises(ValueError, match="k must have rows"):
        attention.attention(q, k[:, :0].copy(), v[:, :0].copy())


def test_a_lower_instruction_set_has_no_unit(monkeypatch):
    monkeypatch.setenv("NEAR_ISA", "avx2")
    assert not attention.available()


def test_without_compiled_kernels_it_is_not_available(monkeypatch):
    from kernels import library
    monkeypatch.setattr(library, "_library", None)
    monkeypatch.setattr(library, "_failure", "missing")
    assert not attention.available()
