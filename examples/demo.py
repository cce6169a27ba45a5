"""`make demo`: text in, mixture out, on two cores in about ten minutes.

Every step but one is a command that you can type yourself; it is printed before it runs. The one
is `fit_tokens`, which measures this machine and chooses how long a proxy trains.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

from mixopt.experiment import Experiment
from proxies.swarm import measure_speed

SWARM_SECONDS = 225.0
CONFIRM_SECONDS = 290.0
DESIGN_POINTS = 24
SWARM_RUNS = 33  # design points, two anchors in each of four blocks, baselines
CONFIRM_RUNS = 30  # arms x seeds
LEAST_TOKENS, MOST_TOKENS = 100_000, 300_000
TARGET_TOKENS = 2_000_000  # pretended: the scarcest domain is capped, its pool still measurable


def main(folder: Path) -> None:
    """Run the demo in `folder`; run again, it resumes."""
    began = time.monotonic()
    corpus, study = folder / "corpus", folder / "study"
    if not (corpus / "domains.csv").exists():
        run(sys.executable, "examples/corpus_small.py", corpus)
    if not (study / "space.toml").exists():
        mixopt("init", study, "--from", corpus, "--target-tokens", TARGET_TOKENS)
    mixopt("prepare", study)
    fit_tokens(study)
    mixopt("sample", study, "-n", DESIGN_POINTS)
    mixopt("train-proxies", study)
    mixopt("fit", study)
    mixopt("propose", study, "-k", 3)
    mixopt("confirm", study)
    for name in ("json", "megatron"):
        mixopt("export", study, "--to", name, "-o", folder / f"mixture.{name}")
    mixopt("status", study)
    print(f"\n{time.monotonic() - began:.0f} s in all; the study lies in {study}")


def fit_tokens(study: Path) -> None:
    """Choose the tokens of a run so that the swarm and its check fit into their time, once."""
    path = study / "proxy.toml"
    text = path.read_text()
    if "# fitted" in text:
        return
    proxy = Experiment(study).proxy_file
    small = measure_speed(study, proxy.identity(), SWARM_RUNS)
    large = measure_speed(study, proxy.confirm_identity(), CONFIRM_RUNS)
    tokens = _tokens(small, SWARM_SECONDS, SWARM_RUNS)
    check = _tokens(large, CONFIRM_SECONDS, CONFIRM_RUNS)
    text = re.sub(
        r"(?m)^tokens = .*", f"tokens = {tokens:_}  # fitted to {small:.0f} tokens/s", text
    )
    line = f"tokens = {check:_}  # fitted to {large:.0f} tokens/s"
    text = re.sub(r"(?m)^(\[confirm\].*)$", rf"\1\n{line}", text)
    text = re.sub(r"(?m)^windows = .*", "windows = 32  # scoring takes a tenth of the time", text)
    path.write_text(text)
    print(
        f"this machine trains {small:.0f} tokens/s of the proxy and {large:.0f} of the larger one: "
        f"{tokens:,} and {check:,} tokens a run fit into the time (written to {path})",
        flush=True,
    )


def mixopt(*arguments: object) -> None:
    """Run a command of mixopt as the shell would."""
    print("\n$ mixopt " + " ".join(str(argument) for argument in arguments), flush=True)
    run(sys.executable, "-m", "cli.main", *arguments)


def run(*command: object) -> None:
    """Run a program, and stop the demo where it stops."""
    code = subprocess.run([str(part) for part in command]).returncode
    if code:
        sys.exit(code)


def _tokens(speed: float, seconds: float, runs: int) -> int:
    """Tokens of one run, in whole 10,000s, within what is worth training."""
    tokens = int(speed * seconds / runs / 10_000) * 10_000
    return max(LEAST_TOKENS, min(MOST_TOKENS, tokens))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
