"""Why balance is counted over the batch: within sequences, domains cannot own experts."""

from math import log

import numpy as np
import pytest
import torch

from mixopt.online.static import Static
from proxies.config import resolve
from proxies.model import forward
from proxies.trainer import Member, Trainer

STEPS = 500
BALANCE = 1e-2
SIZES = {"width": 32, "hidden": 16, "context": 64}


@pytest.mark.slow
def test_balance_over_the_batch_leaves_more_of_a_domain_in_its_routing(toy_data):
    """Mutual information of domain and expert, and the loss: over the batch against within
    sequences, the same coefficient, data and first weights."""
    over_batch = trained(toy_data, {"balance": BALANCE})
    within = trained(toy_data, {"balance": 0.0, "sequence_balance": BALANCE})
    information = [mutual_information(own, toy_data) for own in (over_batch, within)]
    losses = [mean_bpb(own) for own in (over_batch, within)]
    print(f"information {information}, bits per byte {losses}")
    assert information[0] > information[1]
    assert losses[0] < 1.01 * losses[1]


def trained(data, training):
    proxy = {
        "preset": "tiny",
        "tokens": STEPS * 8 * SIZES["context"],
        "sizes": SIZES,
        "training": {"sequences": 8, **training},
    }
    members = [Member(f"r{seed}", seed, Static(((1.0, np.array([0.5, 0.5])),))) for seed in (1, 2)]
    config = resolve(proxy, data.vocabulary)
    own = Trainer(config, data, data.names, members, torch.device("cpu"))
    for _ in range(STEPS):
        own.advance()
    return own


def mean_bpb(own):
    found = own.evaluate("validation", 20)
    return np.mean([one.metrics[f"bpb/{name}"] for one in found for name in ("sea", "web")])


@torch.no_grad()
def mutual_information(own, data):
    """Nats, mean over layers and proxies, both domains as likely."""
    questions = data.evaluation("validation", SIZES["context"], 40)
    shares = []
    for domain in (0, 1):
        tokens = torch.from_numpy(questions.tokens[questions.domain == domain][:, :-1])
        both = tokens.expand(len(own.members), -1, -1)
        output = forward(own._learner.averaged(), own.config, both)
        counts = torch.stack([layer.counts() for layer in output.routing])
        shares.append(counts / counts.sum(-1, keepdim=True))
    p = torch.stack(shares).double()
    middle = p.mean(0, keepdim=True)
    found = (p * (p / middle).clamp_min(1e-12).log()).nan_to_num().sum(-1).mean().item()
    assert 0 <= found <= log(2)
    return found
