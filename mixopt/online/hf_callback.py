"""A mixture that moves in Hugging Face's Trainer: a callback that observes, a Trainer that draws.

    mixing = Mixing(controller, sources.sizes, sequence_tokens=1024, batch=64, steps=args.max_steps)
    sampler = MixtureSampler(mixing, sources, rank=0, ranks=1)   # accelerate divides among ranks
    trainer = MixtureTrainer(model, args, train_dataset=sources, mixture=sampler)
    trainer.train(resume_from_checkpoint=...)

Losses by domain are taken from the logits of the training batches, by hooks on the model. What a
restart needs lies in the checkpoint's trainer_state.json, wherever that checkpoint lies. A resumed
run reads exactly what the whole one reads; dropout masks may differ, since they are the Trainer's
business.
"""

from collections.abc import Mapping
from typing import Any

from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import ExportableState

from mixopt.errors import ConfigError, DataError
from mixopt.online.torch_sampler import MixtureSampler, token_losses

_DOMAIN = "domain"


class MixtureCallback(TrainerCallback, ExportableState):
    """Tells a controller the losses by domain of a Trainer whose data `mixture` draws.

    For trainers that are not `MixtureTrainer`: their `_get_train_sampler` must return `mixture`.
    The model must take `labels` and return logits. Raises ConfigError at the start of training for
    arguments of the Trainer that do not go together with it.
    """

    def __init__(self, mixture: MixtureSampler) -> None:
        self.mixture = mixture
        self._hooks: list[Any] = []
        self._domains: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check the arguments, go on from the checkpoint's state, and listen to the model."""
        self._check(args, state)
        if state.global_step > 0:
            self.mixture.resume(_saved(state, type(self).__name__))
        model = kwargs["model"]
        self._hooks = [
            model.register_forward_pre_hook(self._before, with_kwargs=True),
            model.register_forward_hook(self._after, with_kwargs=True),
        ]

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """One step of the optimiser is done."""
        self.mixture.finish_step()
        if control.should_save:  # on every rank, as summing up wants it
            self.mixture.collect()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """A checkpoint may follow."""
        self.mixture.collect()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the model as it was."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def state(self) -> dict[str, Any]:
        """What the Trainer keeps in its checkpoint; `collect` was called before."""
        return {"args": {}, "attributes": {"mixing": self.mixture.mixing.state_dict()}}

    def _before(self, model: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Take the domains away from what the model is given."""
        self._domains = named.get(_DOMAIN)
        if model.training and self._domains is None:
            raise DataError(
                f"the training batches have no {_DOMAIN!r}: use Domains as train_dataset, and a "
                "collator that keeps its columns"
            )
        return inputs, {key: value for key, value in named.items() if key != _DOMAIN}

    def _after(
        self, model: Any, inputs: tuple[Any, ...], named: dict[str, Any], output: Any
    ) -> None:
        """Note the losses of a training batch."""
        if not model.training:
            return
        logits, labels = getattr(output, "logits", None), named.get("labels")
        if logits is None or labels is None:
            missing = "logits" if logits is None else "labels"
            raise DataError(
                f"the model was run without {missing}, and losses by domain are taken from them: "
                "leave label smoothing and fused losses out"
            )
        losses, counted = token_losses(logits, labels)
        self.mixture.note(losses, self._domains, counted)

    def _check(self, args: TrainingArguments, state: TrainerState) -> None:
        """Whether the Trainer and the mixture mean the same run."""
        mixing = self.mixture.mixing
        batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        wanted = {
            "remove_unused_columns": (args.remove_unused_columns, False),
            "ignore_data_skip": (args.ignore_data_skip, True),
            "restore_callback_states_from_checkpoint": (
                args.restore_callback_states_from_checkpoint,
                False,
            ),
            "sequences of a step": (batch, mixing.batch),
            "max_steps": (state.max_steps, mixing.steps),
        }
        for name, (got, expected) in wanted.items():
            if got != expected:
                raise ConfigError(
                    f"the Trainer has {name} = {got}, the mixture needs {expected}: it says itself "
                    "which sequences come next"
                )


class MixtureTrainer(Trainer):
    """A Trainer whose training data a mixture draws; all other arguments are the Trainer's."""

    def __init__(self, *args: Any, mixture: MixtureSampler, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._mixture = mixture
        self.add_callback(MixtureCallback(mixture))

    def _get_train_sampler(self, train_dataset: Any = None) -> MixtureSampler:
        return self._mixture


def _saved(state: TrainerState, name: str) -> Mapping[str, Any]:
    """The mixture's state in the Trainer's checkpoint."""
    callbacks = state.stateful_callbacks or {}
    if not isinstance(callbacks, Mapping) or name not in callbacks:
        raise DataError(
            f"the checkpoint of step {state.global_step} holds no mixture: it was made without "
            "this callback, start anew"
        )
    return callbacks[name]["attributes"]["mixing"]
