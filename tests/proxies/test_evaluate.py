"""Bits per byte against closed forms, and what is scored."""

from math import log

import numpy as np
import pytest
import torch

from proxies.config import resolve
from proxies.data import EvaluationSet
from proxies.evaluate import evaluate
from proxies.model import forward, initial, stack

CONFIG = resolve(
    {"preset": "tiny", "tokens": 1000, "sizes": {"width": 16, "hidden": 8, "context": 12}}, 40
)


@pytest.fixture
def questions():
    rng = np.random.default_rng(0)
    return EvaluationSet(
        names=("a", "b:c"),
        tokens=rng.integers(40, size=(11, 13)),
        domain=np.array([0] * 5 + [1] * 6),
        document=np.arange(11),
    )


@pytest.fixture
def token_bytes():
    lengths = np.arange(40) % 4 + 1
    lengths[7] = 0  # the end of a document
    return lengths


def blank(proxies):
    """Proxies that give every token the same probability."""
    weights = stack([initial(CONFIG, seed) for seed in range(proxies)], torch.device("cpu"))
    weights["embedding"] = torch.zeros_like(weights["embedding"])
    return weights


def test_guessing_has_a_closed_form(questions, token_bytes):
    targets = questions.tokens[:, 1:]
    for found in evaluate(blank(2), CONFIG, questions, token_bytes, "validation"):
        for index, name in enumerate(questions.names):
            own = targets[questions.domain == index]
            scored = (own != 7).sum()
            bits = scored * np.log2(40)
            assert found.metrics[f"loss/{name}"] == pytest.approx(log(40), rel=1e-6)
            assert found.metrics[f"bpb/{name}"] == pytest.approx(
                bits / token_bytes[own].sum(), rel=1e-6
            )
        np.testing.assert_array_equal(found.bytes, token_bytes[targets].sum(1))
        assert (found.document == questions.document).all()


def test_metrics_are_ratios_of_the_sums_of_windows(questions, token_bytes):
    weights = stack([initial(CONFIG, seed) for seed in (1, 2)], torch.device("cpu"))
    one, other = evaluate(weights, CONFIG, questions, token_bytes, "test")
    assert one.metrics != other.metrics
    assert set(one.metrics) == {
        f"{kind}@test/{n}" for kind in ("bpb", "loss") for n in ("a", "b:c")
    }
    rows = one.domain == 1
    expected = one.nats[rows].sum() / one.bytes[rows].sum() / log(2)
    assert one.metrics["bpb@test/b:c"] == pytest.approx(expected)


def test_nats_are_those_of_torch_whatever_the_batching(questions, token_bytes):
    weights = stack([initial(CONFIG, 3)], torch.device("cpu"))
    (found,) = evaluate(weights, CONFIG, questions, token_bytes, "validation")
    for row, tokens in enumerate(torch.from_numpy(questions.tokens)):
        hidden = forward(weights, CONFIG, tokens[:-1].view(1, 1, -1)).hidden[0]
        nats = torch.nn.functional.cross_entropy(
            hidden @ weights["embedding"][0].T, tokens[1:], reduction="none"
        )
        assert found.nats[row] == pytest.approx(nats[tokens[1:] != 7].sum().item(), rel=1e-4)


def test_a_proxy_of_nan_gives_nothing_and_the_other_the_same_bits(questions, token_bytes):
    weights = blank(2)
    clean = evaluate(weights, CONFIG, questions, token_bytes, "validation")
    weights["norm"][0, 0] = torch.nan
    sick = evaluate(weights, CONFIG, questions, token_bytes, "validation")
    assert sick[0] is None
    assert sick[1].metrics == clean[1].metrics


def test_router_metrics_come_with_validation(questions, token_bytes):
    (found,) = evaluate(blank(1), CONFIG, questions, token_bytes, "validation")
    assert found.metrics["router/maxvio"] >= 0
    assert 0 <= found.metrics["router/dead"] <= 1
    assert 0 < found.metrics["router/mi_p"] <= 1


def test_experts_are_counted_by_window(questions, token_bytes):
    weights = stack([initial(CONFIG, seed) for seed in (1, 2)], torch.device("cpu"))
    for p, found in enumerate(evaluate(weights, CONFIG, questions, token_bytes, "validation")):
        one = {name: weight[p : p + 1] for name, weight in weights.items()}
        for q in range(2):
            rows = torch.from_numpy(questions.tokens[questions.domain == q])
            output = forward(one, CONFIG, rows[None, :, :-1])
            expected = torch.stack([layer.counts()[0] for layer in output.routing])
            np.testing.assert_array_equal(found.router.counts[q], expected)
    (tested, _) = evaluate(weights, CONFIG, questions, token_bytes, "test")
    assert tested.router is None
