"""SIGKILL of a worker at 20 random moments: what is lost, and what the table says afterwards.

Two folders with the same plan, on a small corpus of made-up sentences; one is trained in peace, in
the other a random worker is killed again and again at random moments. Prints a table, writes JSON.

    python benchmarks/kill.py [--kills 20] [--seed 0] [--output kill.json]
"""

import argparse
import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import proxies
from mixopt.files import write_json
from mixopt.runs import Run, RunWriter, read_runs
from proxies.prepare import PrepareSettings, Source, prepare

SIZES = {"layers": 1, "width": 32, "heads": 2, "experts": 4, "hidden": 32, "context": 64}
PROXY = {"preset": "tiny", "tokens": 250_000, "sizes": SIZES, "simulated_epochs": True}
RUNS = 24
GROUP = 3
SENTENCES = {
    "sea": "the tide turns slowly under grey gulls and sails".split(),
    "web": "GET /index 200 user=42 POST /login 403 q=cats".split(),
}


@dataclass
class Killer:
    """Kills a random worker of a folder at random moments; called with every progress."""

    folder: Path
    kills: int
    rng: random.Random
    mean_seconds: float
    steps: list[int] = field(default_factory=list)
    """How many runs were finished at each kill."""
    lost: int = 0
    """Finished runs that were missing from the table later."""
    _next: float = 0.0
    _finished: set[str] = field(default_factory=set)

    def __call__(self, now: proxies.Progress) -> None:
        """Kill when it is time."""
        finished = {run.id for run in read_runs(self.folder / "runs") if run.status == "finished"}
        self.lost += len(self._finished - finished)
        self._finished |= finished
        if len(self.steps) >= self.kills or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self.rng.expovariate(1.0 / self.mean_seconds)
        workers = sorted((self.folder / "claims").glob("worker-*.json"))
        if workers:
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(int(self.rng.choice(workers).stem.rpartition("-")[2]), signal.SIGKILL)
                self.steps.append(len(finished))


def main() -> None:
    """Train twice, once disturbed, and compare."""
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        corpus = _corpus(Path(name) / "corpus")
        calm, wild = (_study(Path(name) / kind, corpus) for kind in ("calm", "wild"))
        undisturbed = proxies.train(calm, workers=options.workers, max_swarm=GROUP)
        killer = Killer(wild, options.kills, random.Random(options.seed), options.mean_seconds)
        disturbed = proxies.train(
            wild,
            workers=options.workers,
            max_swarm=GROUP,
            progress=killer,
            checkpoint_seconds=2.0,
        )
        result = _compare(_results(calm), _results(wild))
    result |= {
        "kills": len(killer.steps),
        "finished runs at each kill": killer.steps,
        "finished runs lost": killer.lost,
        "finished": disturbed.finished,
        "failed": disturbed.failed,
        "seconds undisturbed": round(undisturbed.seconds, 1),
        "seconds disturbed": round(disturbed.seconds, 1),
    }
    for key, value in result.items():
        print(f"{key:30} {value}")
    write_json(Path(options.output), result)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="kill workers at random moments")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mean-seconds", type=float, default=3.0)
    parser.add_argument("--output", default="kill.json")
    return parser.parse_args()


def _corpus(folder: Path) -> dict[str, Path]:
    """Two domains of 300 documents, each word followed by one of two others."""
    rng = random.Random(0)
    for name, words in SENTENCES.items():
        (folder / name).mkdir(parents=True)
        for number in range(300):
            place, text = rng.randrange(len(words)), []
            for _ in range(200):
                place = (place + rng.choice((1, 2))) % len(words)
                text.append(words[place])
            (folder / name / f"{number:03d}.txt").write_text(" ".join(text))
    return {name: folder / name for name in SENTENCES}


def _study(folder: Path, corpus: Mapping[str, Path]) -> Path:
    folder.mkdir()
    (folder / "space.toml").write_text("".join(f"[domain.{name}]\n" for name in corpus))
    (folder / "proxy.toml").write_text(f"tokens = {PROXY['tokens']}\n[evaluation]\nwindows = 32\n")
    sources = [Source(name, path) for name, path in corpus.items()]
    manifest = prepare(sources, folder / "data", settings=PrepareSettings(tokenizer="bytes"))
    rng = random.Random(1)
    with RunWriter(folder / "runs") as writer:
        writer.append(_plan(index, rng.random, manifest["hash"]) for index in range(RUNS))
    return folder


def _plan(index: int, share: Callable[[], float], data: str) -> Run:
    sea = share()
    schedule = ((1.0, {"sea": sea, "web": 1.0 - sea}),)
    return Run(schedule, seed=1 + index % 4, proxy=PROXY, data=data, name=f"{index:04d}")


def _results(folder: Path) -> dict[str, Mapping[str, float]]:
    return {run.name: run.metrics for run in read_runs(folder / "runs")}


def _compare(
    calm: Mapping[str, Mapping[str, float]], wild: Mapping[str, Mapping[str, float]]
) -> dict[str, object]:
    """Whether two tables hold the same numbers, to the last bit."""
    differences = [
        abs(value - wild[name].get(metric, float("inf")))
        for name, metrics in calm.items()
        for metric, value in metrics.items()
    ]
    return {
        "runs": len(calm),
        "metrics compared": len(differences),
        "bitwise equal": json.dumps(calm, sort_keys=True) == json.dumps(wild, sort_keys=True),
        "largest difference": max(differences),
    }


if __name__ == "__main__":
    main()
