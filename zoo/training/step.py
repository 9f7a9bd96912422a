"""The pieces of one training step that bundle configs name: what MONAI's trainer is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.hooks import RemovableHandle

from zoo.errors import UserError

Batch = tuple[Tensor, None, tuple[Tensor], dict[str, Any]]


def prepare_training(
    batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **_: Any
) -> Batch:
    """Hand a collated batch to an objective: fixed, nothing, (moving,), what else it takes."""

    def on_device(part: Tensor) -> tuple[Tensor, Tensor]:
        moved = part.to(device, non_blocking=non_blocking)
        return moved[:, :1], moved[:, 1:]

    moving, fixed = on_device(batch["image"])
    more: dict[str, Any] = dict(batch["task"])
    for name, suffix in (("loss_image", "loss"), ("labels", "labels")):
        if name in batch:
            more[f"moving_{suffix}"], more[f"fixed_{suffix}"] = on_device(batch[name])
    if "mask" in batch:
        more["mask"] = batch["mask"].to(device, non_blocking=non_blocking)
    return fixed, None, (moving,), more


class TrainingInferer(Inferer):
    """Calls the objective, in bfloat16 where that is exact enough if `precision` says so.

    With `freeze_norm` batch norm keeps the statistics it has: for small batches, and for the last
    part of a training. The weights of the norm are trained all the same.
    """

    def __init__(
        self, precision: Literal["float32", "bfloat16"] = "float32", freeze_norm: bool = False
    ) -> None:
        super().__init__()
        if precision not in ("float32", "bfloat16"):
            raise UserError(f"precision {precision!r} is not known; use float32 or bfloat16")
        self.mixed = precision == "bfloat16"
        self.freeze_norm = freeze_norm

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Return the named losses of a batch."""
        if self.freeze_norm:  # the trainer has just put everything into training
            for module in network.modules():
                if isinstance(module, nn.BatchNorm3d):
                    module.eval()
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.mixed):
            losses: dict[str, Tensor] = network(inputs, *args, **kwargs)
        return losses


def total_loss(losses: Mapping[str, Tensor], _target: None = None) -> Tensor:
    """Return the loss to minimise of what an objective gives."""
    return losses["loss"]


def cosine(optimizer: Optimizer, steps: int, last: float = 0.01, decay: bool = True) -> LambdaLR:
    """Return a schedule from the full rate to `last` of it along half a cosine; flat if not."""

    def share(step: int) -> float:
        done = min(step / max(steps, 1), 1.0)
        return last + (1 - last) * (1 + math.cos(math.pi * done)) / 2 if decay else 1.0

    return LambdaLR(optimizer, share)


class StepHandler:
    """What happens around each training step, besides the step itself.

    Random numbers are those of the seed and the step, so that a resumed run draws what the run
    without a stop would have drawn, and every process of a training the same. A loss that is not
    finite stops the run before it spoils the weights, and the gradient's norm is held to `clip`.
    """

    def __init__(
        self, seed: int = 0, schedule: LambdaLR | None = None, clip: float | None = None
    ) -> None:
        self.seed = seed
        self.schedule = schedule
        self.clip = clip
        self.hook: RemovableHandle | None = None

    def attach(self, engine: Engine) -> None:
        """Act on the steps of a trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self.seed_step)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self.guard)
        engine.add_event_handler(Events.STARTED, self.watch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.follow)

    def watch(self, engine: Engine) -> None:
        """Hold the gradient before each step: with accumulation the sum of several is what counts.

        Not in `attach`: the trainer has no optimizer yet.
        """
        if self.hook is not None:
            self.hook.remove()
        self.hook = engine.optimizer.register_step_pre_hook(lambda *_: self.hold(engine))  # type: ignore[attr-defined]

    def seed_step(self, engine: Engine) -> None:
        """Make the random numbers those of this step."""
        torch.manual_seed((self.seed * 1_000_003 + engine.state.iteration) % 2**63)

    def guard(self, engine: Engine) -> None:
        """Stop at a loss that is not a number."""
        losses = engine.state.output["pred"]  # type: ignore[index]
        bad = {name: float(value) for name, value in losses.items() if not value.isfinite().all()}
        if bad:
            names = ", ".join(engine.state.batch["names"])  # type: ignore[index]
            raise UserError(
                f"the loss is not finite at step {engine.state.iteration} ({bad}) on {names}; look "
                "at these images, or lower the learning rate; the last checkpoint is from before"
            )

    def hold(self, engine: Engine) -> None:
        """Keep the gradient's norm below the limit."""
        if self.clip is not None:
            nn.utils.clip_grad_norm_(engine.network.parameters(), self.clip)  # type: ignore[attr-defined]

    def follow(self, _engine: Engine) -> None:
        """Go on with the schedule of the learning rate."""
        if self.schedule is not None:
            self.schedule.step()
