"""The fused cross-entropy against torch's, in values and gradients."""

import pytest
import torch
from torch.nn import functional

from proxies.kernels.cross_entropy import cross_entropy, token_nats

P, N, D, V = 2, 300, 16, 50  # N is no multiple of the chunk


@pytest.fixture
def batch():
    make = torch.Generator().manual_seed(0)
    hidden = torch.randn(P, N, D, generator=make).requires_grad_()
    embedding = torch.randn(P, V, D, generator=make).requires_grad_()
    return hidden, embedding, torch.randint(V, (P, N), generator=make)


def by_torch(hidden, embedding, targets):
    logits = torch.bmm(hidden, embedding.transpose(1, 2))
    nats = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return nats.view(targets.shape)


def test_losses_and_nats_agree(batch):
    losses, nats = cross_entropy(*batch)
    expected = by_torch(*batch)
    torch.testing.assert_close(nats, expected.detach())
    torch.testing.assert_close(losses, expected.mean(1))
    torch.testing.assert_close(token_nats(*batch), expected.detach())


def test_gradients_agree_under_any_weights_of_the_proxies(batch):
    weights = torch.tensor([0.5, -2.0])
    ours = torch.autograd.grad((cross_entropy(*batch)[0] * weights).sum(), batch[:2])
    theirs = torch.autograd.grad((by_torch(*batch).mean(1) * weights).sum(), batch[:2])
    for own, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-4, atol=1e-6)


def test_a_proxy_of_nan_leaves_its_neighbour_alone(batch):
    hidden, embedding, targets = batch
    clean = torch.autograd.grad(cross_entropy(*batch)[0].sum(), batch[:2])
    sick = hidden.detach().clone()
    sick[0] = torch.nan
    sick.requires_grad_()
    losses, _ = cross_entropy(sick, embedding, targets)
    found = torch.autograd.grad(losses.sum(), (sick, embedding))
    assert torch.isnan(losses[0])
    for own, reference in zip(found, clean, strict=True):
        assert torch.equal(own[1], reference[1])


def test_only_the_mean_carries_gradient(batch):
    losses, nats = cross_entropy(*batch)
    assert losses.requires_grad
    assert not nats.requires_grad
