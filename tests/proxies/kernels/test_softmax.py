"""The softmax of routers against torch's, and its gradient."""

import torch

from proxies.kernels.softmax import softmax


def test_it_is_softmax_however_large_the_logits():
    x = 100.0 * torch.randn(3, 7, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(softmax(x), torch.softmax(x, -1))


def test_its_gradient():
    x = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.autograd.gradcheck(softmax, (x.requires_grad_(),))
