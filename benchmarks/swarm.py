"""Training speed on this machine's CPU: proxies side by side, against two rivals, in one run.

    ours        the kernels of `proxies/`, as many proxies in flight as a short trial finds best
    unbatched   the same kernels, one proxy at a time
    plain       the eager torch.nn model of `plain_model.py`, one at a time, as a program of its own
    kept        the same plain model, with the C library told to keep memory as our workers are

Each contender is two processes of one thread, which work at the same time; contenders take turns,
window by window, so that a busy machine slows all of them. Ratios are medians over rounds of tokens
a second of processor time; wall-clock rates stand beside them. Prints tables, writes JSON.

    python benchmarks/swarm.py [--sizes T,S,M,L] [--rounds 7] [--seconds 2] [--output swarm.json]
    python benchmarks/swarm.py --report swarm.json

The second prints a file as Markdown.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from plain_model import PlainTrainer

from mixopt.files import write_json
from proxies.config import TrainConfig, resolve
from proxies.jobs import ENVIRONMENT
from proxies.learner import Learner
from proxies.memory import needed
from proxies.presets import Sizes
from proxies.tune import CANDIDATES, fastest, measure

SIZES = {
    "T": (Sizes(2, 64, 2, 8, 2, 1, 64, 128), 4096, 4),
    "S": (Sizes(2, 64, 2, 8, 2, 1, 64, 128), 4096, 8),
    "M": (Sizes(3, 128, 4, 16, 2, 1, 64, 128), 4096, 8),
    "L": (Sizes(4, 256, 4, 16, 2, 1, 128, 256), 8192, 4),
}
CONTENDERS = ("ours", "unbatched", "plain", "kept")
RIVALS = ("plain", "unbatched", "kept")
TARGETS = {  # least ratio of ours to (plain, unbatched); kept has none
    "T": (1.6, 1.2),
    "S": (1.4, 1.1),
    "M": (1.25, 1.05),
    "L": (0.97, 0.97),
}
PROCESSES = 2
THREADS = {name: "1" for name in ENVIRONMENT if name.endswith("_THREADS")}
_SQUARES = (256, 512, 1024, 2048)


def main() -> None:
    """Measure, print and write."""
    if sys.argv[1:2] == ["--work"]:
        work(json.loads(sys.argv[2]))
        return
    options = _options()
    if options.report is not None:
        print(report(json.loads(options.report.read_text())))
        return
    result: dict[str, object] = {"machine": machine(), "sgemm GFLOP/s": sgemm()}
    print(f"{result['machine']}\nSGEMM, one thread: {result['sgemm GFLOP/s']:.0f} GFLOP/s")
    for size in options.sizes.split(","):
        _say(f"{size}: trial")
        found = compare(size, options.rounds, options.seconds)
        result[size] = found
        show(size, found, PROCESSES * float(str(result["sgemm GFLOP/s"])))
        write_json(Path(options.output), result)


def config_of(size: str) -> TrainConfig:
    """The settings of a size."""
    sizes, vocabulary, sequences = SIZES[size]
    base = resolve({"preset": "tiny", "tokens": 10**6}, vocabulary)
    return replace(base, sizes=sizes, sequences=sequences)


def compare(size: str, rounds: int, seconds: float) -> dict[str, object]:
    """Rates of the contenders in turn, and what ours needs of memory."""
    config = config_of(size)
    trial = measure(config, CANDIDATES, "cpu")
    best = fastest(trial)
    crews = {name: Crew(size, name, best if name == "ours" else 1) for name in CONTENDERS}
    windows: dict[str, list[list[float]]] = {name: [] for name in CONTENDERS}
    try:
        for number in range(rounds):
            _say(f"{size}: round {number + 1} of {rounds}")
            for name, crew in crews.items():
                windows[name].append(crew.window(seconds))
    finally:
        for crew in crews.values():
            crew.end()
    _say(f"{size}: memory")
    memory = {count: _measured_memory(size, count) for count in (1, 2, 4, 8)}
    return {
        "proxies in flight": best,
        "trial tokens/s": trial,
        "tokens/s of processor time": _rates(windows, 0),
        "tokens/s": _rates(windows, 1),
        "flops per token": config.sizes.flops_per_token(config.vocabulary),
        "MB by proxies": memory,
        "MB estimated": {count: needed(config, count).total / 1e6 for count in memory},
    }


class Crew:
    """Two processes of one contender, which wait between windows."""

    def __init__(self, size: str, contender: str, proxies: int) -> None:
        job = json.dumps({"size": size, "contender": contender, "proxies": proxies})
        variables = THREADS if contender == "plain" else ENVIRONMENT
        self._processes = [_start(job, variables) for _ in range(PROCESSES)]
        for process in self._processes:
            _line(process)  # it has warmed up

    def window(self, seconds: float) -> list[float]:
        """Tokens a second of the two together: [of processor time, of wall-clock time]."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        told = [json.loads(_line(process)) for process in self._processes]
        return [sum(one["tokens"] / one[clock] for one in told) for clock in ("cpu", "wall")]

    def end(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.wait()


def work(job: dict[str, object]) -> None:
    """One process of a contender: a window for each line on stdin; or its memory, and the end."""
    torch.set_num_threads(1)
    before = _peak()
    config, proxies = config_of(str(job["size"])), int(str(job["proxies"]))
    step = _stepper(config, str(job["contender"]), proxies)
    for _ in range(3):
        step()
    print(json.dumps({"peak": _peak(), "before": before}), flush=True)
    for line in sys.stdin:
        steps, cpu, wall = 0, time.process_time(), time.perf_counter()
        while time.perf_counter() - wall < float(line):
            step()
            steps += 1
        used = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        print(json.dumps({"tokens": steps * proxies * config.step_tokens, **used}), flush=True)


def show(size: str, found: dict, peak: float) -> None:
    """One size as a table."""
    print(f"\n{size}, {found['proxies in flight']} proxies in flight")
    print(f"{'':10} {'tokens/s':>9} {'of CPU':>8} {'min':>8} {'max':>8} {'GFLOP/s':>8} {'peak':>6}")
    for name in CONTENDERS:
        cpu, wall = found["tokens/s of processor time"][name], found["tokens/s"][name]
        rate = statistics.median(cpu)
        flops = rate * found["flops per token"] / 1e9
        print(
            f"{name:10} {statistics.median(wall):9,.0f} {rate:8,.0f} {min(cpu):8,.0f} "
            f"{max(cpu):8,.0f} {flops:8.1f} {flops / peak:6.0%}"
        )
    for rival, target in zip(RIVALS, (*TARGETS[size], "none"), strict=True):
        for label in ("tokens/s of processor time", "tokens/s"):
            ratios = _ratios(found[label], rival)
            print(
                f"ours / {rival}, {label}: {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f}), target {target}"
            )
    print(f"peak MB of a process by proxies (estimated): {_memory(found)}")


def report(result: dict) -> str:
    """What a file holds, as Markdown: speed, then memory."""
    peak = PROCESSES * result["sgemm GFLOP/s"]
    sizes = [size for size in SIZES if size in result]
    lines = [
        f"{result['machine']}; SGEMM of one thread {peak / PROCESSES:.0f} GFLOP/s.",
        "",
        "| size | proxies in flight | tokens/s | GFLOP/s | share of SGEMM "
        "| ours over plain (target) | over unbatched (target) | over plain, memory kept |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_speed_row(size, result[size], peak) for size in sizes]
    lines += ["", "| size | MB by proxies, measured (estimated) |", "|---|---|"]
    return "\n".join([*lines, *(f"| {size} | {_memory(result[size])} |" for size in sizes)])


def _speed_row(size: str, found: dict, peak: float) -> str:
    own = found["tokens/s of processor time"]
    rate = statistics.median(own["ours"])
    flops = rate * found["flops per token"] / 1e9
    ratios = [
        f"{statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
        + ("" if rival == "kept" else f" ({target})")
        for rival, target in zip(RIVALS, (*TARGETS[size], "none"), strict=True)
        for ratios in [_ratios(own, rival)]
    ]
    return (
        f"| {size} | {found['proxies in flight']} | {rate:,.0f} | {flops:.0f} "
        f"| {flops / peak:.0%} | {' | '.join(ratios)} |"
    )


def _memory(found: dict) -> str:
    estimated = {str(count): own for count, own in found["MB estimated"].items()}
    return ", ".join(
        f"{count}: {own:.0f} ({estimated[str(count)]:.0f})"
        for count, own in found["MB by proxies"].items()
    )


def _say(words: str) -> None:
    """How far it is, for who waits."""
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


def sgemm() -> float:
    """GFLOP/s of one thread on the best of some square products."""
    torch.set_num_threads(1)
    rates = []
    for side in _SQUARES:
        a, b = torch.randn(2, side, side)
        times = []
        for _ in range(max(3, 2**27 // side**3)):
            began = time.process_time()
            torch.mm(a, b)
            times.append(time.process_time() - began)
        rates.append(2.0 * side**3 / statistics.median(times) / 1e9)
    return max(rates)


def machine() -> str:
    """What this runs on."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    load = os.getloadavg()[0]
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, load {load:.1f}, "
        f"torch {torch.__version__}"
    )


def _stepper(config: TrainConfig, contender: str, proxies: int):
    generator = torch.Generator().manual_seed(0)
    shape = (proxies, config.sequences, config.sizes.context + 1)
    batch = torch.randint(config.vocabulary, shape, generator=generator)
    if contender in ("plain", "kept"):
        trainer = PlainTrainer(config, 0)
        return lambda: trainer.advance(batch[0])
    learner = Learner(config, range(proxies), torch.device("cpu"))
    return lambda: learner.learn(batch)


def _rates(windows: dict[str, list[list[float]]], clock: int) -> dict[str, list[float]]:
    return {name: [own[clock] for own in rows] for name, rows in windows.items()}


def _ratios(rates: dict[str, Sequence[float]], rival: str) -> list[float]:
    """Of ours to a rival, round by round."""
    return [own / other for own, other in zip(rates["ours"], rates[rival], strict=True)]


def _measured_memory(size: str, proxies: int) -> float:
    """Peak resident MB of a process that makes some steps."""
    job = json.dumps({"size": size, "contender": "ours", "proxies": proxies})
    process = _start(job, ENVIRONMENT)
    told = json.loads(_line(process))
    process.kill()
    process.wait()
    return told["peak"] / 1e6


def _peak() -> int:
    """Bytes; of this program alone, where getrusage counts the one that started it too."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.partition("VmHWM:")[2].split()[0])


def _start(job: str, variables: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, "--work", job],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="training speed against two rivals")
    parser.add_argument("--sizes", default="T,S,M,L")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--output", default="swarm.json")
    parser.add_argument("--report", type=Path, help="only print what this file holds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
