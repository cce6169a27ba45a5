"""The Trainer callback, with a real Trainer and a real, tiny model."""

import json

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, TrainingArguments, set_seed

from mixopt.errors import ConfigError, DataError
from mixopt.online import make_controller
from mixopt.online.budget import Budget
from mixopt.online.hf_callback import MixtureTrainer
from mixopt.online.mixing import Mixing
from mixopt.online.torch_sampler import Domains, MixtureSampler

pytestmark = pytest.mark.filterwarnings("ignore")  # other libraries' own
STEPS, LENGTH = 8, 16


def sources():
    """Text of three kinds: one token, a cycle, noise."""
    rng = np.random.default_rng(0)
    kinds = {
        "flat": np.zeros((40, LENGTH)),
        "cycle": np.arange(40 * LENGTH).reshape(40, LENGTH) % 5,
        "noise": rng.integers(0, 32, (40, LENGTH)),
    }
    return Domains(
        {
            name: [
                {"input_ids": torch.tensor(row).long(), "labels": torch.tensor(row).long()}
                for row in rows
            ]
            for name, rows in kinds.items()
        }
    )


def trainer(folder, *, every=1, log=None, batch=4, evaluated=None, **arguments):
    text = sources()
    budget = Budget.of(list(text.sizes))
    controller = make_controller("odm", {"budget": budget, "every": every})
    mixing = Mixing(controller, text.sizes, LENGTH, batch=batch, steps=STEPS, log=log)
    set_seed(0)
    sizes = {"vocab_size": 32, "n_positions": LENGTH, "n_embd": 16, "n_layer": 1, "n_head": 2}
    still = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    config = GPT2Config(**sizes, **still, bos_token_id=0, eos_token_id=0)
    given = {
        "output_dir": str(folder),
        "max_steps": STEPS,
        "per_device_train_batch_size": 4,
        "save_strategy": "no",
        "remove_unused_columns": False,
        "ignore_data_skip": True,
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "logging_strategy": "no",
        "learning_rate": 1e-2,
        **arguments,
    }
    mixture = MixtureSampler(mixing, text, rank=0, ranks=1)
    model = GPT2LMHeadModel(config)
    return MixtureTrainer(
        model,
        TrainingArguments(**given),
        train_dataset=text,
        eval_dataset=evaluated,
        mixture=mixture,
    )


def mixing_of(run):
    return run._mixture.mixing


def weights(run):
    return {name: value.clone() for name, value in run.model.state_dict().items()}


@pytest.mark.parametrize("every", [1, 2])
def test_a_resumed_trainer_goes_on_exactly(tmp_path, every):
    whole = trainer(tmp_path / "whole", every=every, save_strategy="steps", save_steps=3)
    whole.train()
    resumed = trainer(tmp_path / "resumed", every=every)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    assert mixing_of(resumed).state_dict() == mixing_of(whole).state_dict()
    for name, value in weights(whole).items():
        torch.testing.assert_close(resumed.model.state_dict()[name], value, rtol=0, atol=0)


def test_the_controller_hears_the_losses_of_each_domain(tmp_path):
    log = tmp_path / "mixture.jsonl"
    run = trainer(tmp_path, log=log)
    run.train()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    last = lines[-1]["why"]["loss"]
    assert last["noise"] > 2.5
    assert last["flat"] < last["noise"]
    assert mixing_of(run).controller.weights()[2] == mixing_of(run).controller.weights().max()
    assert sum(mixing_of(run).consumed.values()) == STEPS * 4 * LENGTH


def test_accumulated_batches_are_one_step(tmp_path):
    run = trainer(tmp_path, batch=4, per_device_train_batch_size=2, gradient_accumulation_steps=2)
    run.train()
    assert mixing_of(run).step == STEPS


def test_workers_may_read_ahead(tmp_path):
    one = trainer(tmp_path, every=2, dataloader_num_workers=1)
    one.train()
    assert mixing_of(one).step == STEPS
    assert len(mixing_of(one).ahead) > 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"remove_unused_columns": True}, "remove_unused_columns = True"),
        ({"ignore_data_skip": False}, "ignore_data_skip = False"),
        ({"max_steps": 5}, "max_steps = 5, the mixture needs 8"),
        ({"gradient_accumulation_steps": 2}, "sequences of a step = 8, the mixture needs 4"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(tmp_path, arguments, words):
    with pytest.raises(ConfigError, match=words):
        trainer(tmp_path, **arguments).train()


def test_evaluation_is_left_alone(tmp_path):
    run = trainer(tmp_path, evaluated=sources(), eval_strategy="steps", eval_steps=2)
    run.train()
    assert sum(mixing_of(run).consumed.values()) == STEPS * 4 * LENGTH


def test_a_checkpoint_without_a_mixture_is_refused(tmp_path):
    trainer(tmp_path, save_strategy="steps", save_steps=3).train()
    path = tmp_path / "checkpoint-3" / "trainer_state.json"
    state = json.loads(path.read_text())
    del state["stateful_callbacks"]["MixtureCallback"]
    path.write_text(json.dumps(state))
    with pytest.raises(DataError, match="holds no mixture"):
        trainer(tmp_path).train(resume_from_checkpoint=str(path.parent))
