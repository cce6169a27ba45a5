"""A mixture that moves in a plain PyTorch loop, on real text, in under a minute on a CPU.

    python examples/online_torch.py [CONTROLLER] [FOLDER]

A small transformer reads five domains of bytes; `ado`, or the controller that is named, moves their
shares. FOLDER then holds mixture.jsonl (shares over time, and why), checkpoint.json (from which it
goes on if it is started again before its end), and phases.json (the run as three phases).
"""

import sys
from pathlib import Path

import torch
from online_text import SEQUENCE, domains, print_table, split
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from mixopt.files import read_json, write_json
from mixopt.online import make_controller
from mixopt.online.budget import Budget
from mixopt.online.mixing import Mixing
from mixopt.online.schedule import few_phases
from mixopt.online.torch_sampler import Domains, MixtureSampler, token_losses

BATCH, STEPS, EVERY, SAVED = 32, 200, 10, 50
WIDTH = 64


class Bytes(nn.Module):
    """A transformer of two layers over bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, WIDTH)
        self.place = nn.Parameter(0.02 * torch.randn(SEQUENCE, WIDTH))
        layer = nn.TransformerEncoderLayer(
            WIDTH, 2, 2 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 256)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        hidden = self.embedding(tokens) + self.place[: tokens.shape[1]]
        return self.head(self.layers(hidden, mask=mask, is_causal=True))


def main(controller: str, folder: Path) -> None:
    """Train, save now and then, and print what moved."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    training, held_out = split(domains())
    sources = Domains(training)
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
    sampler = MixtureSampler(mixing, sources)
    model = Bytes()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    before = losses(model, held_out)
    resume(folder, model, optimiser, sampler)
    loader = DataLoader(sources, batch_size=BATCH, sampler=sampler, num_workers=1)
    for batch, _ in zip(loader, range(STEPS - mixing.step)):
        text = batch["input_ids"]
        logits = model(text)
        loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), text[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        sampler.note(token_losses(logits, text)[0], batch["domain"])
        sampler.finish_step()
        if mixing.step % SAVED == 0:
            print(f"step {mixing.step}: loss {loss.item():.2f}", flush=True)
            save(folder, model, optimiser, sampler)
    phases = few_phases(mixing.schedule(), 3)
    write_json(folder / "phases.json", [{"fraction": part, "shares": mix} for part, mix in phases])
    print_table(mixing.lines(), mixing.epochs, before, losses(model, held_out))


def losses(model: Bytes, held_out: dict[str, Tensor]) -> dict[str, float]:
    """Nats a byte of each domain's held-out text."""
    with torch.no_grad():
        rows = {name: token_losses(model(text), text)[0] for name, text in held_out.items()}
    return {name: float(row.mean()) for name, row in rows.items()}


def save(
    folder: Path, model: Bytes, optimiser: torch.optim.Optimizer, sampler: MixtureSampler
) -> None:
    """The whole run: weights, optimiser, and the mixture."""
    weights = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
    torch.save(weights, folder / "model.pt")
    write_json(folder / "checkpoint.json", sampler.checkpoint())


def resume(
    folder: Path, model: Bytes, optimiser: torch.optim.Optimizer, sampler: MixtureSampler
) -> None:
    """Go on from what `save` left, if it is there."""
    if (folder / "checkpoint.json").exists():
        weights = torch.load(folder / "model.pt", weights_only=True)
        model.load_state_dict(weights["model"])
        optimiser.load_state_dict(weights["optimiser"])
        sampler.resume(read_json(folder / "checkpoint.json"))


if __name__ == "__main__":
    main(
        sys.argv[1] if len(sys.argv) > 1 else "ado",
        Path(sys.argv[2] if len(sys.argv) > 2 else "online"),
    )
