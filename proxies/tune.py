"""Proxies in flight by trial: some steps of 1, 2, 4, ... at once, on every device at the same time.

What is fastest depends on the sizes, on caches and on the memory that the cores share, so no rule
holds everywhere. The answer is kept in the folder, because other neighbours round otherwise: a
study that is resumed must form the groups that it had. `python -m proxies.tune` is one device.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from mixopt.errors import DataError, MixoptError
from mixopt.files import read_json, write_json
from proxies.config import TrainConfig
from proxies.groups import largest_group
from proxies.jobs import last_line, start
from proxies.presets import Sizes
from proxies.styles import Style

CANDIDATES = (1, 2, 4, 8, 16)
CANDIDATES_ON_CUDA = (*CANDIDATES, 32, 64)
_SECONDS = 2.0
_LEAST_GAIN = 1.02
"""A larger group must be that much faster: its runs are also lost together."""
_WORTH = 2e12
"""FLOPs a worker, about two minutes of a core, under which the rule of `groups` does."""


def proxies_in_flight(
    folder: Path, config: TrainConfig, runs: int, devices: Sequence[str], most: int
) -> int:
    """The number of proxies of one kind to train at once in each worker, at most `most`.

    Found by trial, once a folder, where there is enough to train to pay for it. Raises MixoptError
    for a trial that cannot be made.
    """
    path, name = _store(folder), _name(config, devices)
    known = _read(path)
    if name in known:
        return min(int(known[name]), most)
    if runs * config.flops < _WORTH * len(devices) or runs <= 1 or most == 1:
        return min(largest_group(config, devices[0]), most)
    candidates = CANDIDATES if devices[0] == "cpu" else CANDIDATES_ON_CUDA
    rates = _trial(config, devices, [count for count in candidates if count <= most])
    write_json(path, {**_read(path), name: fastest(rates)})
    return fastest(rates)


def known_group(folder: Path, config: TrainConfig, devices: Sequence[str]) -> int:
    """What was found by trial, else by the rule."""
    known = _read(_store(folder)).get(_name(config, devices))
    return largest_group(config, devices[0]) if known is None else int(known)


def fastest(rates: Mapping[int, float]) -> int:
    """The number of proxies with the highest rate, a larger one only for a real gain.

    >>> fastest({1: 100.0, 2: 101.0, 4: 120.0, 8: 121.0})
    4
    """
    best = min(rates)
    for count in sorted(rates):
        if rates[count] > _LEAST_GAIN * rates[best]:
            best = count
    return best


def measure(
    config: TrainConfig, candidates: Sequence[int], device: str, seconds: float = _SECONDS
) -> dict[int, float]:
    """Tokens a second of this process by number of proxies, in about `seconds`.

    Of its own processor time on a CPU, where neighbours should not decide. Candidates after two
    that were slower, or whose step would take a fourth of the time, are not tried.
    """
    rates: dict[int, float] = {}
    for count in sorted(candidates):
        per_step = _seconds_a_step(config, count, device, seconds / (2 * len(candidates)))
        rates[count] = count * config.step_tokens / per_step
        later = [rates[other] for other in sorted(rates)][-2:]
        if 2 * per_step > seconds / 4 or (len(rates) > 2 and max(later) < max(rates.values())):
            break
    return rates


def _seconds_a_step(config: TrainConfig, count: int, device: str, seconds: float) -> float:
    import torch

    from proxies.graph import WARM_UP_STEPS, learn_on
    from proxies.learner import Learner

    place = torch.device(device)
    clock = time.process_time if place.type == "cpu" else time.perf_counter
    learn = learn_on(Learner(config, range(count), place), place)
    generator = torch.Generator().manual_seed(0)
    shape = (count, config.sequences, config.sizes.context + 1)
    batch = torch.randint(config.vocabulary, shape, generator=generator).to(place)
    warming = 1 if place.type == "cpu" else WARM_UP_STEPS + 1  # on CUDA the last one is recorded
    times = []
    for _ in range(64):
        began = clock()
        learn(batch)[0].sum().item()  # waits for the device
        times.append(clock() - began)
        if len(times) > warming + 1 and sum(times[warming:]) > seconds:
            break
    return sorted(times[warming:])[len(times[warming:]) // 2]


def _trial(config: TrainConfig, devices: Sequence[str], counts: list[int]) -> dict[int, float]:
    """The rates of all workers together; candidates that each of them has tried."""
    with ExitStack() as stack:
        errors = stack.enter_context(TemporaryFile("w+"))
        started, outputs = [], []
        for device in devices:
            job = json.dumps({"config": asdict(config), "candidates": counts, "device": device})
            out = stack.enter_context(TemporaryFile("w+"))
            outputs.append(out)
            started.append(start("proxies.tune", job, stdout=out, stderr=errors))
        stack.callback(_end, started)
        for process in started:
            if process.wait():
                raise MixoptError(f"the trial of proxies in flight ended: {last_line(errors)}")
        found = [
            {int(k): rate for k, rate in json.loads(last_line(out)).items()} for out in outputs
        ]
    tried = set.intersection(*(set(one) for one in found))
    return {count: sum(one[count] for one in found) for count in sorted(tried)}


def _end(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        process.kill()
        process.wait()


def _store(folder: Path) -> Path:
    return folder / "claims" / "in-flight.json"


def _name(config: TrainConfig, devices: Sequence[str]) -> str:
    return f"{config.digest()}/{devices[0].partition(':')[0]}/{len(devices)}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(read_json(path)) if path.exists() else {}
    except DataError:
        return {}  # cut short: it is measured again


def main() -> int:
    """Measure what stands on stdin; the rates go to stdout as JSON."""
    import torch

    torch.set_num_threads(1)
    job = json.loads(sys.stdin.read())
    values = job["config"]
    config = TrainConfig(
        **{**values, "sizes": Sizes(**values["sizes"]), "style": Style(**values["style"])}
    )
    print(json.dumps(measure(config, job["candidates"], job["device"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
