"""Write mixtures.csv and metrics.csv of 32 made-up runs: the smallest input of `mixopt import`.

The losses follow a known law, loss_i = 2 + (0.1 + sum_j a_ij w_j^0.6)^-0.5 with a little noise, so
the best mixture is known too; a real study has a real swarm's table here.
"""

import csv
from pathlib import Path

import numpy as np

DOMAINS = ("web", "code", "books", "math")
RUNS = 32


def main() -> None:
    """Write the two files to the present folder."""
    rng = np.random.default_rng(0)
    mixtures = rng.dirichlet(np.ones(len(DOMAINS)), RUNS)
    affinity = 0.2 + 1.5 * np.eye(len(DOMAINS))
    affinity[:, 0] += 0.8  # the web helps with everything
    losses = 2 + (0.1 + mixtures**0.6 @ affinity.T) ** -0.5
    losses += rng.normal(scale=0.003, size=losses.shape)
    _write("mixtures.csv", DOMAINS, mixtures)
    _write("metrics.csv", [f"loss/{name}" for name in DOMAINS], losses)
    print(f"wrote mixtures.csv and metrics.csv ({RUNS} runs) to {Path.cwd()}")


def _write(path: str, names: tuple[str, ...] | list[str], values: np.ndarray) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", *names])
        for number, row in enumerate(values):
            writer.writerow([f"run{number:02d}", *(f"{value:.6f}" for value in row)])


if __name__ == "__main__":
    main()
