"""A metric of one's own and a task with gold completions, on a tiny study: one minute on a laptop.

    python examples/metric_plugin.py [FOLDER]

`margin` below is the metric: how much likelier a proxy finds the right word than a wrong one, in
nats. `proxy.toml` names it as "metric_plugin:margin", and workers find it by PYTHONPATH.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import proxies
from mixopt import Experiment
from proxies.prepare import prepare_experiment
from proxies.scorer import Scorer

WORDS = {
    "sea": "the tide turns slowly under grey gulls and sails".split(),
    "land": "a cart rolls past green hills to quiet barns".split(),
}
PROXY = """\
tokens = 16_000
seeds = [1, 2]
sizes = {context = 64}
[data]
tokenizer = "bytes"
[evaluation]
windows = 16
metrics = ["metric_plugin:margin"]
[evaluation.tasks]
next_word = "next_word.jsonl"
"""
SPACE = """\
[domain.sea]
path = "text/sea"
[domain.land]
path = "text/land"
[metrics]
"task/margin" = "up"
[objective.next_word]
over = ["task/next_word"]
"""


def margin(scorer: Scorer) -> dict[str, float]:
    """Nats by which the right word is likelier than a wrong one, mean over pairs."""
    pairs = [("the tide", " turns", " barns"), ("a cart", " rolls", " gulls")]
    gains = []
    for prompt, right, wrong in pairs:
        begin = scorer.encode(prompt)
        rows = [begin + scorer.encode(word) for word in (right, wrong)]
        good, bad = (nats[len(begin) - 1 :].sum() for nats in scorer.nats(rows))
        gains.append(bad - good)
    return {"task/margin": float(np.mean(gains))}


def main(folder: Path) -> None:
    """Write a study, train its proxies and print what they say."""
    write_study(folder)
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    study = Experiment(folder)
    prepare_experiment(study)
    study.sample(4)
    proxies.train(study)
    table = study.table()
    names = ("task/margin", "task/next_word", "bpb/sea", "bpb/land")
    print("share of sea  " + "  ".join(f"{name:>14}" for name in names))
    columns = [table.metrics.index(name) for name in names]
    for row in np.argsort(table.weights[:, 0]):
        values = (table.losses * table.directions)[row, columns]
        print(f"{table.weights[row, 0]:12.2f}  " + "  ".join(f"{value:14.3f}" for value in values))


def write_study(folder: Path) -> None:
    """Two domains of made-up sentences, a task, and the two files of a study."""
    rng = np.random.default_rng(0)
    for name, words in WORDS.items():
        (folder / "text" / name).mkdir(parents=True)
        for number in range(60):
            starts = rng.integers(len(words), size=40)
            text = " ".join(words[(start + i) % len(words)] for start in starts for i in range(4))
            (folder / "text" / name / f"{number}.txt").write_text(text)
    items = [
        {"prompt": " ".join(words[: i + 1]), "completion": f" {words[i + 1]}"}
        for words in WORDS.values()
        for i in range(len(words) - 1)
    ]
    (folder / "next_word.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (folder / "proxy.toml").write_text(PROXY)
    (folder / "space.toml").write_text(SPACE)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with TemporaryDirectory() as name:
            main(Path(name))
