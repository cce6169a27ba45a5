"""Bayesian optimisation on BoTorch: the only part of the library that needs the `bo` extra."""

import warnings

with warnings.catch_warnings():
    # linear_operator decorates functions on import with what newer torch calls deprecated
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=DeprecationWarning)
    import botorch  # noqa: F401
