"""Near-duplicates: the estimate is the Jaccard similarity, and what is near is found."""

import numpy as np
import pytest

from proxies.near import HeldOut, grams, signature


def jaccard(one, other):
    a, b = set(grams(one).tolist()), set(grams(other).tolist())
    return len(a & b) / len(a | b)


def words(rng, count):
    return " ".join(f"w{i}" for i in rng.integers(5000, size=count))


def edited(text, rng, changes):
    parts = text.split()
    for place in rng.integers(len(parts), size=changes):
        parts[place] = f"changed{place}"
    return " ".join(parts)


def test_the_estimate_is_the_similarity():
    rng = np.random.default_rng(0)
    errors = []
    for changes in (0, 3, 10, 30, 100):
        text = words(rng, 400)
        other = edited(text, rng, changes)
        estimate = (signature(text) == signature(other)).mean()
        errors.append(estimate - jaccard(text, other))
    assert np.abs(errors).max() < 0.15
    assert errors[0] == 0


def test_what_is_near_is_found_and_nothing_else():
    rng = np.random.default_rng(1)
    held_out = [words(rng, 300) for _ in range(50)]
    near = HeldOut(np.array([signature(text) for text in held_out]), 0.7).is_near
    assert all(near(edited(text, rng, 4)) for text in held_out)
    assert not any(near(edited(text, rng, 60)) for text in held_out)
    assert not any(near(words(rng, 300)) for _ in range(50))
    assert near(held_out[0].upper().replace(" ", "\n  "))  # case and white space are no difference


@pytest.mark.parametrize("content", ["", "one", "!?", "a b c d", np.array([3], np.uint32)])
def test_the_shortest_units_have_one_gram(content):
    assert len(grams(content)) == 1


def test_grams_know_order_and_tokens():
    assert set(grams("a b c d e").tolist()) != set(grams("e d c b a").tolist())
    tokens = np.arange(9, dtype=np.uint32)
    assert len(grams(tokens)) == 5
    assert set(grams(tokens[2:]).tolist()) < set(grams(tokens).tolist())
