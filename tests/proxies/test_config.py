"""TrainConfig: golden values of the learning-rate and batch laws, and errors in `proxy.toml`."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from proxies.config import learning_rate_and_batch, resolve, rule
from proxies.presets import PRESETS, Sizes

TABLE = [  # layers, width, heads, experts, active, hidden, context, rate, batch in tokens at 64 N_a
    (Sizes(8, 128, 4, 32, 4, 1, 64, 512), 5e-3, 21e3),
    (Sizes(8, 192, 3, 32, 4, 1, 96, 1024), 4.4e-3, 37e3),
    (Sizes(10, 256, 4, 32, 4, 1, 96, 1024), 3.7e-3, 55e3),
    (Sizes(10, 320, 5, 64, 8, 1, 80, 2048), 2.9e-3, 80e3),
]


@pytest.mark.parametrize(("sizes", "rate", "batch"), TABLE)
def test_laws_give_the_published_settings(sizes, rate, batch):
    found = learning_rate_and_batch(sizes, 64 * sizes.active_parameters())
    assert found == pytest.approx((rate, batch), rel=0.03)


@pytest.mark.parametrize(("preset", "batch"), [("pico", 10e3), ("nano", 14e3)])
def test_small_presets_are_capped(preset, batch):
    config = resolve({"preset": preset, "tokens": 50_000_000}, 4096)
    assert config.learning_rate == 5e-3
    assert config.step_tokens == pytest.approx(batch, rel=0.1)
    assert config.decay == 0.2


@given(st.floats(1e5, 1e11))
def test_settings_stay_usable_at_any_budget(tokens):
    config = rule(PRESETS["pico"], 4096, int(tokens))
    assert 0 < config.learning_rate <= 5e-3
    assert config.sequences >= 1
    assert config.steps >= 1500 or config.sequences == 1
    assert config.warmup_steps <= 0.06 * config.steps + 1
    more = learning_rate_and_batch(PRESETS["pico"], int(2 * tokens))
    assert more[1] > learning_rate_and_batch(PRESETS["pico"], int(tokens))[1]


def test_overrides_change_what_they_name_and_keep_types():
    proxy = {
        "preset": "tiny",
        "tokens": 1000,
        "sizes": {"width": 128},
        "training": {"sequences": 4.0, "learning_rate": 1},
        "simulated_epochs": True,
    }
    config = resolve(proxy, 300)
    assert config.sizes.width == 128
    assert config.sizes.layers == PRESETS["tiny"].layers
    assert (config.sequences, config.learning_rate) == (4, 1.0)
    assert isinstance(config.sequences, int)
    assert config.steps == 2
    assert config.scale == (config.sizes.parameters(), config.sizes.active_parameters(), 1024)


def test_digest_follows_every_setting():
    base = {"preset": "tiny", "tokens": 1000}
    same = resolve(base, 300).digest()
    assert resolve(dict(base), 300).digest() == same
    assert resolve({**base, "training": {"z_loss": 0.0}}, 300).digest() != same
    assert resolve({**base, "sizes": {"layers": 3}}, 300).digest() != same
    assert resolve(base, 301).digest() != same


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ({"preset": "tinny"}, "did you mean 'tiny'"),
        ({"presets": "tiny"}, "did you mean 'preset'"),
        ({"training": {"learning_rat": 1}}, "did you mean 'learning_rate'"),
        ({"training": {"vocabulary": 1}}, "unknown key"),
        ({"training": {"sequences": 2.5}}, "whole number, got 2.5"),
        ({"training": {"sequences": float("inf")}}, "finite number, got inf"),
        ({"training": {"decay": 2}}, "between 0 and 1, got 2"),
        ({"training": {"learning_rate": -1}}, "positive, got -1"),
        ({"training": {"learning_rate": float("nan")}}, "finite number, got nan"),
        ({"sizes": {"heads": 3}}, "multiple of heads, got 64 and 3"),
        ({"sizes": {"hidden": 12}}, "multiples of 8, got 64 and 12"),
        ({"sizes": {"active": 9}}, "got 9 of 8"),
        ({"sizes": {"active": 1}}, "between 2"),
        ({"sizes": {"layers": 0}}, "at least 1, got 0"),
        ({"sizes": {"experts": 1024}}, "at most 1023"),
    ],
)
def test_a_wrong_key_or_value_is_named(proxy, words):
    with pytest.raises(ConfigError, match=words):
        resolve({"preset": "tiny", "tokens": 1000, **proxy}, 300)


def test_settings_load_without_torch():
    code = "import sys, proxies.config; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
