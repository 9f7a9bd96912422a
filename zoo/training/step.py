"""The parts of one training step that bundle configs pass to MONAI's trainer.

The trainer's network is an objective (see `zoo.training.objectives`): it holds the network that is
trained and returns named losses.
"""

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
    """Return a collated batch on `device` as the arguments of an objective.

    They are the fixed images [B, 1, X, Y, Z], no target, the moving images, and keyword arguments:
    the task, and loss images, labels and masks if the batch has them.
    """

    def on_device(part: Tensor) -> tuple[Tensor, Tensor]:
        moved = part.to(device, non_blocking=non_blocking)
        return moved[:, :1], moved[:, 1:]

    moving, fixed = on_device(batch["image"])
    keywords: dict[str, Any] = dict(batch["task"])
    for name, suffix in (("loss_image", "loss"), ("labels", "labels")):
        if name in batch:
            keywords[f"moving_{suffix}"], keywords[f"fixed_{suffix}"] = on_device(batch[name])
    if "mask" in batch:
        keywords["mask"] = batch["mask"].to(device, non_blocking=non_blocking)
    return fixed, None, (moving,), keywords


class TrainingInferer(Inferer):
    """Calls the objective, with autocast to bfloat16 if `precision` is "bfloat16".

    The `amp` option of MONAI's trainer would work on CUDA only, and would scale the gradients,
    which bfloat16 does not need.

    With `freeze_norm` batch norm normalises with its running statistics and does not update them:
    for small batches, and for the last part of a training. Its weights are still trained.
    """

    def __init__(
        self, precision: Literal["float32", "bfloat16"] = "float32", freeze_norm: bool = False
    ) -> None:
        super().__init__()
        if precision not in ("float32", "bfloat16"):
            raise UserError(f"precision {precision!r} is unknown; use float32 or bfloat16")
        self.mixed = precision == "bfloat16"
        self.freeze_norm = freeze_norm

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Return the named losses of a batch."""
        if self.freeze_norm:  # in every step, because the trainer calls network.train() before it
            for module in network.modules():
                if isinstance(module, nn.BatchNorm3d):
                    module.eval()
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.mixed):
            losses: dict[str, Tensor] = network(inputs, *args, **kwargs)
        return losses


def total_loss(losses: Mapping[str, Tensor], _target: None = None) -> Tensor:
    """Return the loss to minimise from the named losses of an objective."""
    return losses["loss"]


def cosine_schedule(
    optimizer: Optimizer, steps: int, last: float = 0.01, decay: bool = True
) -> LambdaLR:
    """Return a schedule from the full learning rate to `last` of it along half a cosine.

    Without `decay` the rate is constant. Beyond `steps` it stays at its last value, and a run that
    is resumed with more steps follows the longer cosine; `CosineAnnealingLR` does neither.
    """

    def factor(step: int) -> float:
        progress = min(step / max(steps, 1), 1.0)
        return last + (1 - last) * (1 + math.cos(math.pi * progress)) / 2 if decay else 1.0

    return LambdaLR(optimizer, factor)


class StepHandler:
    """An ignite handler that seeds each training step, checks its loss and clips its gradient.

    The random numbers of a step follow from the seed and the step's number, so that a resumed run
    draws what a run without interruption draws, and all processes draw the same. A loss that is not
    finite stops the run before it reaches the weights; the error names the pairs, which ignite's
    TerminateOnNan does not. The norm of the gradient is limited to `clip`.
    """

    def __init__(self, seed: int = 0, clip: float | None = None) -> None:
        self.seed = seed
        self.clip = clip
        self.hook: RemovableHandle | None = None

    def attach(self, engine: Engine) -> None:
        """Act on every step of a trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self.seed_step)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self.require_finite)
        engine.add_event_handler(Events.STARTED, self.register_clipping)

    def register_clipping(self, engine: Engine) -> None:
        """Clip before each step of the optimizer: the accumulated gradient is clipped as a whole.

        This happens when the run starts, because `attach` is called before the trainer has its
        optimizer.
        """
        if self.hook is not None:
            self.hook.remove()
        self.hook = engine.optimizer.register_step_pre_hook(  # type: ignore[attr-defined]
            lambda *_: self.clip_gradient(engine)
        )

    def seed_step(self, engine: Engine) -> None:
        """Seed the random number generators for this step."""
        torch.manual_seed((self.seed * 1_000_003 + engine.state.iteration) % 2**63)

    def require_finite(self, engine: Engine) -> None:
        """Stop at a loss that is not finite."""
        losses = engine.state.output["pred"]  # type: ignore[index]
        bad = [f"{k} {float(v):g}" for k, v in losses.items() if not v.isfinite().all()]
        if bad:
            names = ", ".join(engine.state.batch["names"])  # type: ignore[index]
            raise UserError(
                f"a loss is not finite at step {engine.state.iteration} ({', '.join(bad)}) for "
                f"{names}; check these images, or lower the learning_rate. The last checkpoint is "
                "from an earlier step and can be resumed"
            )

    def clip_gradient(self, engine: Engine) -> None:
        """Limit the norm of the gradient."""
        if self.clip is not None:
            nn.utils.clip_grad_norm_(engine.network.parameters(), self.clip)  # type: ignore[attr-defined]
