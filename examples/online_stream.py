"""A mixture of streams that moves: JSON lines, two workers, a restart, in under a minute on a CPU.

    python examples/online_stream.py [FOLDER]

The text of online_text.py is written to FOLDER as one file of JSON lines a domain, as a crawl would
leave it, and read from there one line after the other. Half-way the loop stops and goes on from its
checkpoint, as after a crash.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from online_text import SEQUENCE, domains
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from mixopt.online import make_controller
from mixopt.online.budget import Budget, Group
from mixopt.online.mixing import Mixing
from mixopt.online.torch_stream import MixtureStream

BATCH, STEPS, WORKERS = 32, 60, 2
Part = Callable[[int, int], Iterator[Tensor]]


def main(folder: Path) -> None:
    """Write the streams, train half-way, stop, go on, and print what was read."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    paths = write(folder)
    model = nn.Sequential(nn.Embedding(256, 64), nn.GELU(), nn.Linear(64, 256))
    state = train(model, opened(paths), STEPS // 2)
    (folder / "checkpoint.json").write_text(json.dumps(state))
    stream = opened(paths).resume(json.loads((folder / "checkpoint.json").read_text()))
    train(model, stream, STEPS)
    shares = stream.mixing.controller.weights()
    print(f"{'domain':<10}{'share':>8}{'tokens':>10}{'whole epochs':>14}")
    for share, (name, tokens) in zip(shares, stream.mixing.consumed.items(), strict=True):
        print(f"{name:<10}{share:>8.1%}{tokens:>10,}{stream.epochs[name]:>14}")


def write(folder: Path) -> dict[str, Path]:
    """One file of JSON lines for each domain, a sequence a line."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.jsonl" for name in domains()}
    for name, rows in domains().items():
        paths[name].write_text("".join(json.dumps({"tokens": row.tolist()}) + "\n" for row in rows))
    return paths


def opened(paths: dict[str, Path]) -> MixtureStream:
    """The streams under `odm`, code at most 40 % of what is read."""
    code = Group(["python", "headers"], upper=0.4)
    budget = Budget.of(list(paths), groups={"code": code})
    controller = make_controller("odm", {"budget": budget, "every": 5})
    mixing = Mixing(controller, dict.fromkeys(paths), SEQUENCE, BATCH, STEPS)
    sources = {name: lines(path) for name, path in paths.items()}
    return MixtureStream(mixing, sources, workers=WORKERS)


def lines(path: Path) -> Part:
    """A function that opens the part of a file that one reader reads."""

    def part_of(part: int, parts: int) -> Iterator[Tensor]:
        with path.open() as file:
            for number, line in enumerate(file):
                if number % parts == part:
                    yield torch.tensor(json.loads(line)["tokens"])

    return part_of


def train(model: nn.Module, stream: MixtureStream, until: int) -> dict:
    """Train until a step of the run is done; returns the checkpoint."""
    optimiser, last = torch.optim.AdamW(model.parameters(), lr=3e-3), float("nan")
    for batch in DataLoader(stream, batch_size=BATCH, num_workers=WORKERS):
        text = batch["input_ids"]
        logits = model(text[:, :-1]).transpose(1, 2)
        losses = functional.cross_entropy(logits, text[:, 1:], reduction="none")
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
        last = losses.mean().item()
        stream.note(losses, batch["domain"])
        stream.finish_step()
        if stream.mixing.step == until:
            break
    stream.close()
    print(f"step {stream.mixing.step}: loss {last:.2f}", flush=True)
    return stream.checkpoint()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "online"))
