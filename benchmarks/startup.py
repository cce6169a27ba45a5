"""CPU seconds of starting the command line, beside a bare Python: `python benchmarks/startup.py`.

Each command runs `--repeats` times in turn with the others; the table gives the median of user and
system time, and the JSON file all of them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import mixopt": ["-c", "import mixopt"],
    "mixopt --help": ["-m", "cli.main", "--help"],
    "mixopt fit --help": ["-m", "cli.main", "fit", "--help"],
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", default="startup.json")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.repeats):
        for name, arguments in COMMANDS.items():
            seconds[name].append(cpu_seconds([sys.executable, *arguments]))
    print(f"{'command':<20} {'CPU s, median':>14} {'least':>7}")
    for name, values in seconds.items():
        print(f"{name:<20} {statistics.median(values):>14.2f} {min(values):>7.2f}")
    with open(options.out, "w") as file:
        json.dump(seconds, file, indent=1)


def cpu_seconds(command: list[str]) -> float:
    """User and system time of a child process."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    used = after.children_user + after.children_system
    return used - before.children_user - before.children_system


if __name__ == "__main__":
    main()
