"""Results are kept, found again and dropped."""

import threading

import numpy as np
import pytest

from near_core.cache import RecentResults, count_bytes


def test_what_was_not_asked_for_the_longest_is_dropped():
    cache, made = RecentResults(2), []

    def ask(key):
        return cache.get_or(key, lambda: made.append(key) or key.upper())

    assert [ask(key) for key in "abab"] == ["A", "B", "A", "B"] and made == ["a", "b"]
    ask("a")
    ask("c")  # b has waited longest
    assert "b" not in cache and cache["a"] == "A" and len(cache) == 2
    ask("b")
    assert made == ["a", "b", "c", "b"] and "c" not in cache


def test_a_measure_says_what_fits_and_the_newest_stays():
    cache = RecentResults(100, len)
    for key, size in (("a", 40), ("b", 50), ("c", 30)):
        cache.put(key, bytes(size))
    assert "a" not in cache and "b" in cache and "c" in cache
    cache.put("c", bytes(60))
    assert "b" not in cache and len(cache["c"]) == 60
    cache.put("d", bytes(1000))
    assert len(cache) == 1 and "d" in cache
    cache.clear()
    assert not len(cache)


def test_what_is_held_stays_and_makes_room_for_what_follows():
    cache = RecentResults(100, len)
    cache.hold("ab")
    for key in "abcd":
        cache.put(key, bytes(90))
    assert [key in cache for key in "abcd"] == [True, True, True, True]
    cache.put("e", bytes(90))
    assert [key in cache for key in "abcde"] == [True, True, False, True, True]
    cache.hold("")
    assert len(cache) == 1 and "e" in cache


def test_there_may_be_no_room_beside_what_is_held():
    cache = RecentResults(100, len, beside=0)
    cache.hold("ab")
    for key in "cab":
        cache.put(key, bytes(90))
    assert [key in cache for key in "abc"] == [True, True, False] and cache.size == 180


def test_what_is_shared_is_counted_once():
    shared, own = np.zeros(100, np.uint8), np.zeros(7, np.uint8)
    assert count_bytes([shared, (shared, own)]) == 107 and count_bytes([shared, own], [shared]) == 7


def test_what_fails_is_not_kept():
    cache = RecentResults(2)
    with pytest.raises(ZeroDivisionError):
        cache.get_or("a", lambda: 1 / 0)
    assert cache.get_or("a", lambda: 1) == 1
    with pytest.raises(KeyError):
        cache["b"]


def test_a_result_may_need_another_of_the_same_cache():
    cache = RecentResults(8)
    fibonacci = lambda n: cache.get_or(n, lambda: n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2))
    assert fibonacci(30) == 832040 and len(cache) == 8


def test_threads_get_one_result():
    cache, start, got = RecentResults(4), threading.Barrier(8), []

    def ask():
        start.wait()
        for turn in range(200):
            got.append((turn % 6, cache.get_or(turn % 6, lambda turn=turn: [turn % 6])))

    def make_slowly():
        both.wait()  # both threads are computing
        return object()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(got) == 1600 and all(value == [key] for key, value in got) and len(cache) <= 4
    both, same = threading.Barrier(2), []
    threads = [threading.Thread(target=lambda: same.append(cache.get_or("x", make_slowly))) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert same[0] is same[1]


def test_chosen_results_can_be_dropped():
    kept = RecentResults(5, len)
    for key in ("a", "b", "c"):
        kept.put((key, 0), key)
    kept.discard(lambda key: key[0] in "ac")
    assert [key in kept for key in (("a", 0), ("b", 0), ("c", 0))] == [False, True, False]
    kept.put("long", "five!")
    assert "long" in kept and ("b", 0) not in kept, "what is left counts as before"


def test_what_the_last_picture_asked_for_stays_beside_a_little_that_is_older():
    cache = RecentResults(2)
    for first in range(0, 40, 4):
        cache.begin()
        for key in range(first, first + 4):
            cache.get_or(key, lambda key=key: key)
    assert all(key in cache for key in range(32, 40)) and len(cache) == 10, "two pictures, and two older ones"
    cache.begin()
    cache.begin()
    assert all(key in cache for key in range(36, 40)), "a picture that asks for nothing forgets nothing"
    for first in (50, 60, 70, 80):
        cache.begin("draft")
        for key in range(first, first + 4):
            cache.get_or(key, lambda key=key: key)
    assert all(key in cache for key in (*range(36, 40), *range(70, 74), *range(80, 84))), "of another kind, too"
    cache.begin("draft")
    cache.use((*range(80, 84), 99))
    cache.get_or(90, lambda: 90)
    cache.begin("draft")
    for key in range(100, 103):
        cache.put(key, key)
    assert all(key in cache for key in (*range(80, 84), 90)) and 99 not in cache, "what is used counts as asked for"


def test_a_picture_that_was_broken_off_pushes_the_one_before_it_out_of_nothing():
    cache = RecentResults(0)
    for keys, is_whole in ((range(0, 4), True), (range(10, 14), False), (range(20, 24), False)):
        cache.begin()
        for key in keys:
            cache.get_or(key, lambda key=key: key)
        if is_whole:
            cache.end()
    cache.begin()
    assert all(key in cache for key in (*range(0, 4), *range(20, 24))) and 13 not in cache
    cache.put(30, 30)
    cache.end()
    cache.begin()
    cache.begin()
    cache.put(40, 40)
    assert 30 in cache and not any(key in cache for key in (*range(0, 4), *range(20, 24)))
