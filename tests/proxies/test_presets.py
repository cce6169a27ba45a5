"""Sizes: the counting formulas against published figures, and the table of `docs/proxies.md`."""

from pathlib import Path

import pytest

from proxies.config import resolve
from proxies.presets import PRESETS

DOCS = Path(__file__).parents[2] / "docs" / "proxies.md"
VOCABULARY = {"pico": 4096, "nano": 4096, "micro": 8192, "mini": 16384, "small": 16384}
VOCABULARY |= {"base": 32768, "tiny": 4096}
PUBLISHED = {  # N, N_a, V d, training FLOPs a token
    "pico": (0.49e6, 0.19e6, 0.26e6, 3.1e6),
    "nano": (1.64e6, 0.65e6, 0.39e6, 8.0e6),
    "micro": (7.05e6, 1.54e6, 1.05e6, 18.7e6),
    "mini": (15.8e6, 3.44e6, 3.15e6, 49e6),
    "small": (27.0e6, 6.39e6, 4.19e6, 79e6),
    "base": (54.2e6, 11.2e6, 10.5e6, 170e6),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_agree_with_the_published_table(name):
    sizes, vocabulary = PRESETS[name], VOCABULARY[name]
    found = (
        sizes.parameters(),
        sizes.active_parameters(),
        vocabulary * sizes.width,
        sizes.flops_per_token(vocabulary),
    )
    assert found == pytest.approx(PUBLISHED[name], rel=0.02)


def test_the_table_of_the_documentation_is_the_presets():
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    table = [*HEADER, *(row(name) for name in PRESETS)]
    start = lines.index(HEADER[0])
    assert lines[start : start + len(table)] == table, "write:\n" + "\n".join(table)


HEADER = [
    "| preset | N | N_a | V | V d | L | d | heads | E | K | s | hidden | context | FLOPs a token | "
    "tokens | rate | sequences | steps |",
    "|" + "---|" * 18,
]


def row(name):
    """One preset at 64 tokens an active parameter, at least 50M; `tiny` at 0.2M."""
    sizes, vocabulary = PRESETS[name], VOCABULARY[name]
    tokens = 200_000 if name == "tiny" else max(50_000_000, 64 * sizes.active_parameters())
    config = resolve({"preset": name, "tokens": tokens}, vocabulary)
    cells = [
        f"`{name}`",
        million(sizes.parameters()),
        million(sizes.active_parameters()),
        vocabulary,
        million(vocabulary * sizes.width),
        *(sizes.layers, sizes.width, sizes.heads, sizes.experts, sizes.active, sizes.shared),
        *(sizes.hidden, sizes.context, million(sizes.flops_per_token(vocabulary))),
        million(tokens),
        f"{config.learning_rate:.2g}",
        config.sequences,
        config.steps,
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def million(value):
    return f"{value / 1e6:.3g}M"


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_sizes_fit_the_kernels(name):
    sizes = PRESETS[name]
    assert sizes.width % sizes.heads == 0
    assert sizes.head_width % 8 == 0
    assert sizes.width % 8 == sizes.hidden % 8 == 0
    assert 2 <= sizes.active < sizes.experts


def test_active_share_is_constant_within_the_groups_that_share_a_rate():
    share = {
        name: (sizes.active + sizes.shared) / (sizes.experts + sizes.shared)
        for name, sizes in PRESETS.items()
    }
    assert share["pico"] == share["nano"] == pytest.approx(0.29, abs=0.01)
    for name in ("micro", "mini", "small", "base"):
        assert share[name] == pytest.approx(0.145, abs=0.01)


def test_tiny_has_about_half_a_million_parameters_with_its_embeddings():
    tiny = PRESETS["tiny"]
    assert tiny.parameters() + 4096 * tiny.width == pytest.approx(0.5e6, rel=0.1)
