"""TrainConfig: golden values of the learning-rate and batch laws, and errors in `proxy.toml`."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from proxies.config import learning_rate_and_batch, resolve, rule
from proxies.pace import learning_rate
from proxies.presets import PRESETS, Sizes
from proxies.styles import STYLES

TABLE = {  # rate and batch in tokens at 64 N_a, of the published table
    "pico": (50e6, 5e-3, 10e3),
    "nano": (50e6, 5e-3, 14e3),
    "micro": (99e6, 5e-3, 21e3),
    "mini": (220e6, 4.4e-3, 37e3),
    "small": (409e6, 3.7e-3, 55e3),
    "base": (718e6, 2.9e-3, 80e3),
}
BY_TWO_LAWS = {  # StepLaw and Ling, each to two digits
    "pico": (3.6e-2, 8.7e-3, 14.4e3, 8.0e3),
    "nano": (1.5e-2, 7.2e-3, 14.4e3, 12.8e3),
    "micro": (6.7e-3, 5.7e-3, 21e3, 22e3),
    "mini": (4.8e-3, 4.4e-3, 34e3, 40e3),
    "small": (4.0e-3, 3.7e-3, 48e3, 63e3),
    "base": (2.9e-3, 3.0e-3, 66e3, 99e3),
}


@pytest.mark.parametrize("preset", TABLE)
def test_laws_give_the_published_settings(preset):
    tokens, rate, batch = TABLE[preset]
    found = learning_rate_and_batch(PRESETS[preset], int(tokens))
    assert found == pytest.approx((rate, batch), rel=0.08)  # it prints one or two digits
    step_law, ling, *batches = BY_TWO_LAWS[preset]
    assert found[0] == pytest.approx(min(step_law, ling, 5e-3), rel=0.03)
    assert found[1] == pytest.approx((batches[0] * batches[1]) ** 0.5, rel=0.03)


@pytest.mark.parametrize("preset", TABLE)
def test_presets_train_by_the_rule(preset):
    tokens, rate, batch = TABLE[preset]
    config = resolve({"preset": preset, "tokens": int(tokens)}, 4096)
    assert config.learning_rate == pytest.approx(rate, rel=0.03)
    assert config.sequences >= 32
    assert config.step_tokens == pytest.approx(max(batch, 32 * config.sizes.context), rel=0.08)
    assert config.steps > 1500
    assert (config.decay, config.beta2, config.count_smoothing) == (0.2, 0.99, 8.0)
    assert config.warmup_steps * config.step_tokens <= 1.02 * min(
        0.05 * tokens, config.sizes.parameters()
    )


@given(st.sampled_from(sorted(TABLE)), st.floats(1e5, 1e11))
def test_settings_stay_usable_at_any_budget(preset, tokens):
    config = rule(PRESETS[preset], 4096, int(tokens))
    assert 0 < config.learning_rate <= 5e-3
    assert config.sequences >= 32
    assert config.steps >= 1500 or config.sequences == 32
    assert config.warmup_steps <= 0.06 * config.steps + 1
    assert config.beta2 == (0.95 if config.step_tokens >= 524_288 else 0.99)
    rate, batch = learning_rate_and_batch(PRESETS[preset], int(tokens))
    assert learning_rate_and_batch(PRESETS[preset], int(2 * tokens))[1] > batch
    assert 0.5 * rate <= config.learning_rate <= rate
    assert config.learning_rate == rate or config.step_tokens < batch


def test_larger_models_of_the_same_tokens_take_smaller_rates():
    rates = [learning_rate_and_batch(PRESETS[name], 10**9)[0] for name in TABLE]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0]


def test_rate_and_batch_of_very_small_models_are_bounded():
    small = Sizes(2, 48, 2, 8, 2, 1, 32, 64)
    assert small.parameters() == pytest.approx(1e5, rel=0.05)
    config = rule(small, 256, 10_000_000)
    assert config.learning_rate == 5e-3  # by StepLaw it would be 8e-2
    assert (config.sequences, config.step_tokens) == (64, 4096)


def test_how_counts_are_smoothed_is_the_same_for_a_swarm_and_its_confirmation():
    for preset in PRESETS:
        smoothing = {
            resolve({"preset": preset, "tokens": tokens, "sizes": sizes}, 300).count_smoothing
            for tokens in (10**5, 10**8)
            for sizes in ({}, {"layers": 3}, {"context": 64})
        }
        assert smoothing == {8.0}


@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_style_sets_what_training_may_change(style):
    proxy = {"preset": "pico", "style": style, "tokens": 10**7}
    config = resolve(proxy, 300)
    for name in ("balance", "sequence_balance", "z_loss", "bias_step"):
        assert getattr(config, name) == getattr(STYLES[style], name)
    assert resolve({**proxy, "training": {"balance": 0.5}}, 300).balance == 0.5
    names = {resolve({**proxy, "style": name}, 300).digest() for name in STYLES}
    assert len(names) == len(STYLES)
    own = resolve({**proxy, "sizes": {"active": 3, "shared": 2}}, 300).sizes
    assert (own.active, own.shared) == (3, 2)  # what a person says is what they get


def test_the_published_coefficients_of_the_styles():
    terms = {name: (one.balance, one.z_loss, one.bias_step) for name, one in STYLES.items()}
    assert terms == {
        "default": (1e-2, 1e-3, 0.0),
        "olmoe": (1e-2, 1e-3, 0.0),
        "qwen3": (1e-3, 0.0, 0.0),
        "deepseek": (0.0, 0.0, 1e-3),
        "gptoss": (1e-2, 1e-3, 0.0),
    }


def test_a_scaled_rate_is_constant_over_the_same_tokens():
    proxy = {"preset": "pico", "tokens": 10**7, "training": {"learning_rate": 2e-3}}
    tuned, arm = resolve(proxy, 300), resolve({**proxy, "lr_scale": 0.1}, 300)
    assert (arm.steps, arm.sequences) == (tuned.steps, tuned.sequences)
    rates = {learning_rate(arm, step) for step in range(arm.steps)}
    assert len(rates) == 1
    assert rates.pop() == pytest.approx(2e-4)
    assert learning_rate(tuned, tuned.steps - 1) < 0.1 * tuned.learning_rate
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="lr_scale must be a positive number"):
            resolve({**proxy, "lr_scale": wrong}, 300)


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
        ({"sizes": {"active": 0}, "style": "olmoe"}, "at least 1"),
        ({"style": "deepsek"}, "did you mean 'deepseek'"),
        ({"style": "deepseek", "training": {"z_loss": 1e-3}}, "sigmoids, got 0.001"),
        ({"training": {"bias_step": -1}}, "0 or more, got -1"),
        ({"training": {"style": 1}}, "unknown key"),
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
