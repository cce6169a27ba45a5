"""A mixture that moves in Hugging Face's Trainer, on real text, in under a minute on a CPU.

    python examples/online_hf.py [CONTROLLER] [FOLDER]

A GPT-2 of two layers reads five domains of bytes; `ado`, or the controller that is named, moves
their shares. FOLDER then holds mixture.jsonl (shares over time, and why) and the Trainer's
checkpoints, from the last of which it goes on if it is started again before its end.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from online_text import SEQUENCE, domains, print_table, split
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from mixopt.online import make_controller
from mixopt.online.budget import Budget
from mixopt.online.hf_callback import MixtureTrainer
from mixopt.online.mixing import Mixing
from mixopt.online.torch_sampler import Domains, MixtureSampler, token_losses

BATCH, STEPS, EVERY = 32, 160, 8
MODEL = GPT2Config(
    vocab_size=256,
    n_positions=SEQUENCE,
    n_embd=64,
    n_layer=2,
    n_head=2,
    resid_pdrop=0.0,
    embd_pdrop=0.0,
    attn_pdrop=0.0,
    bos_token_id=0,
    eos_token_id=0,
)


def main(controller: str, folder: Path) -> None:
    """Train with the Trainer, and print what moved."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    training, held_out = split(domains())
    sources = Domains({name: labelled(text) for name, text in training.items()})
    tokens = {name: float(size * SEQUENCE) for name, size in sources.sizes.items()}
    budget = Budget.of(list(tokens), tokens=tokens, run_tokens=BATCH * SEQUENCE * STEPS)
    mixing = Mixing(
        make_controller(controller, {"budget": budget, "every": EVERY}),
        sources.sizes,
        sequence_tokens=SEQUENCE,
        batch=BATCH,
        steps=STEPS,
        log=folder / "mixture.jsonl",
    )
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=BATCH,
        learning_rate=3e-3,
        save_steps=40,
        save_total_limit=2,
        logging_steps=40,
        disable_tqdm=True,
        report_to=[],
        use_cpu=True,
        dataloader_num_workers=1,
        remove_unused_columns=False,  # the model is not given the domain, the callback is
        ignore_data_skip=True,  # the mixture knows itself where it stands
    )
    trainer = MixtureTrainer(
        GPT2LMHeadModel(MODEL),
        arguments,
        train_dataset=sources,
        mixture=MixtureSampler(mixing, sources, rank=0, ranks=1),  # accelerate divides among ranks
    )
    before = losses(trainer.model, held_out)
    last = get_last_checkpoint(str(folder)) if folder.exists() else None
    trainer.train(resume_from_checkpoint=last)
    print_table(mixing.lines(), mixing.epochs, before, losses(trainer.model, held_out))


def labelled(text: Tensor) -> list[dict[str, Tensor]]:
    """Sequences with their labels, as the model wants them."""
    return [{"input_ids": row, "labels": row} for row in text]


def losses(model: Any, held_out: dict[str, Tensor]) -> dict[str, float]:
    """Nats a byte of each domain's held-out text."""
    model.eval()
    with torch.no_grad():
        rows = {name: token_losses(model(text).logits, text)[0] for name, text in held_out.items()}
    return {name: float(row.mean()) for name, row in rows.items()}


if __name__ == "__main__":
    main(
        sys.argv[1] if len(sys.argv) > 1 else "ado",
        Path(sys.argv[2] if len(sys.argv) > 2 else "online_hf"),
    )
