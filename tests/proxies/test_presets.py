"""Sizes: the counting formulas against the published table of presets."""

import pytest

from proxies.presets import PRESETS, Sizes

MINI = Sizes(layers=8, width=192, heads=3, experts=32, active=4, shared=1, hidden=96, context=1024)


@pytest.mark.parametrize(
    ("sizes", "vocabulary", "parameters", "active", "flops"),
    [
        (PRESETS["pico"], 4096, 0.49e6, 0.19e6, 3.1e6),
        (PRESETS["nano"], 4096, 1.64e6, 0.65e6, 8.0e6),
        (MINI, 16384, 15.8e6, 3.44e6, 49e6),
    ],
)
def test_counts_agree_with_the_table(sizes, vocabulary, parameters, active, flops):
    assert sizes.parameters() == pytest.approx(parameters, rel=0.02)
    assert sizes.active_parameters() == pytest.approx(active, rel=0.02)
    assert sizes.flops_per_token(vocabulary) == pytest.approx(flops, rel=0.02)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_sizes_fit_the_kernels(name):
    sizes = PRESETS[name]
    assert sizes.width % sizes.heads == 0
    assert sizes.head_width % 8 == 0
    assert sizes.width % 8 == sizes.hidden % 8 == 0
    assert 2 <= sizes.active < sizes.experts


def test_tiny_has_about_half_a_million_parameters_with_its_embeddings():
    tiny = PRESETS["tiny"]
    assert tiny.parameters() + 4096 * tiny.width == pytest.approx(0.5e6, rel=0.1)
