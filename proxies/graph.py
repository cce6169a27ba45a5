"""Graph: a training step recorded once and replayed, so that the host starts one thing a step.

    steps 1 to 3:  as they are, which warms up;    then: record;    from then on: fill in, replay

A step of small proxies is about a thousand kernels, each quicker than its launch (CUDA graphs,
docs.nvidia.com/cuda). A replay reads and writes the memory that the recording did: the batch and
the pace are copied into tensors that stay, the state is changed in place, results are copied out.
"""

import os
from collections.abc import Callable

import torch
from torch import Tensor

from mixopt.errors import MixoptError
from proxies.learner import Learner
from proxies.pace import Pace, pace

WARM_UP_STEPS = 3
"""Steps before the recording: libraries choose kernels and take their workspaces."""
SWITCH = "MIXOPT_CUDA_GRAPH"
"""Environment variable; 0 trains without graphs. Not part of what a run is: they change speed."""

Step = Callable[[], tuple[Tensor, Tensor]]
Learn = Callable[[Tensor], tuple[Tensor, Tensor]]


class Recorder:
    """How a device runs and records a step; here CUDA's."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._graph = torch.cuda.CUDAGraph()

    def warm_up(self, step: Step) -> tuple[Tensor, Tensor]:
        """Run a step where nothing else runs, as a recording asks for."""
        present = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(present)
        with torch.cuda.stream(self._stream):
            found = step()
        present.wait_stream(self._stream)
        return found

    def record(self, step: Step) -> tuple[Tensor, Tensor]:
        """Note what a step would do, and do nothing; the results are filled by each replay.

        Raises MixoptError for a step that cannot be recorded.
        """
        try:
            with (
                torch.cuda.device(self._device),
                torch.cuda.graph(self._graph, stream=self._stream),
            ):
                return step()
        except RuntimeError as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise MixoptError(
                f"a training step could not be recorded as a CUDA graph ({reason}): set the "
                f"environment variable {SWITCH}=0 to train without one"
            ) from error

    def replay(self) -> None:
        """Do what was noted."""
        self._graph.replay()

    def there(self, values: Tensor) -> Tensor:
        """A tensor of the host, from where its copy to the device needs no wait."""
        return values.pin_memory()


class Replayed:
    """Steps of a learner by a recording; `learn` does what `Learner.learn` does.

    While it is used nothing may replace the learner's tensors; writing into them, as a resumed run
    does, is seen by the next step. `shape` is that of a batch, (P, B, T + 1).
    """

    def __init__(self, learner: Learner, shape: tuple[int, ...], recorder: Recorder) -> None:
        self._learner = learner
        self._recorder = recorder
        device = learner.left_out.device
        self._batch = torch.zeros(shape, dtype=torch.int64, device=device)
        self._numbers = torch.zeros(len(Pace._fields), device=device)
        self._found: tuple[Tensor, Tensor] | None = None
        self._warmed = 0

    def learn(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """One optimiser step on (P, B, T + 1) tokens: losses (P,) and the nats of tokens (P, N)."""
        now = torch.tensor(pace(self._learner.config, self._learner.step))
        self._batch.copy_(batch, non_blocking=True)
        self._numbers.copy_(self._recorder.there(now), non_blocking=True)
        losses, nats = self._run()
        self._learner.optimiser.step += 1
        return losses.clone(), nats.clone()  # the next step writes where these are

    def _run(self) -> tuple[Tensor, Tensor]:
        if self._warmed < WARM_UP_STEPS:
            self._warmed += 1
            return self._recorder.warm_up(self._step)
        if self._found is None:
            self._found = self._recorder.record(self._step)
        self._recorder.replay()
        return self._found

    def _step(self) -> tuple[Tensor, Tensor]:
        return self._learner.move(self._batch, Pace(*self._numbers.unbind()))


def learn_on(learner: Learner, device: torch.device) -> Learn:
    """How a learner makes its steps there: replayed on CUDA, as they are on a CPU."""
    if device.type != "cuda" or os.environ.get(SWITCH) == "0":
        return learner.learn
    config = learner.config
    shape = (len(learner.left_out), config.sequences, config.sizes.context + 1)
    return Replayed(learner, shape, Recorder(device)).learn
