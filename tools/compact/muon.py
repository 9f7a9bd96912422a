"""Muon: steps of equal size in every direction of a weight matrix.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). The weights of a
convolution are treated as the matrix [first axis, all others]; all other weights take the step of
Adam. The Muon of PyTorch accepts matrices only, and the oldest supported release does not have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95
_BETAS, _EPSILON = (0.9, 0.995), 1e-8
_MIN_ROWS = 4
"""Matrices with fewer rows, such as those of the last convolutions, take the step of Adam."""


class Muon(torch.optim.Optimizer):
    """Muon for convolutions and Adam for all other weights.

    `rate` is the learning rate of Adam; a matrix takes a step of `matrix_rate` along each singular
    direction. A change of "lr" in a parameter group scales both rates.
    """

    def __init__(self, weights: Iterable[nn.Parameter], rate: float, matrix_rate: float) -> None:
        super().__init__(list(weights), {"lr": rate, "ratio": matrix_rate / rate})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step along the gradients."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                if weight.ndim > 2 and len(weight) >= _MIN_ROWS:
                    self._step_matrix(weight, group["lr"] * group["ratio"])
                else:
                    self._step_adam(weight, group["lr"])

    def _step_matrix(self, weight: nn.Parameter, rate: float) -> None:
        state = self.state[weight]
        momentum = state.setdefault("momentum", torch.zeros_like(weight))
        momentum.mul_(_MOMENTUM).add_(weight.grad)
        direction = orthogonal((weight.grad + _MOMENTUM * momentum).flatten(1))
        rows, columns = direction.shape
        weight.add_(direction.view_as(weight), alpha=-rate * max(1, rows / columns) ** 0.5)

    def _step_adam(self, weight: nn.Parameter, rate: float) -> None:
        state = self.state[weight]
        if not state:
            state["mean"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
            state["steps"] = torch.zeros(())
        state["steps"] += 1
        gradient = weight.grad
        assert gradient is not None
        state["mean"].lerp_(gradient, 1 - _BETAS[0])
        state["square"].lerp_(gradient**2, 1 - _BETAS[1])
        steps = float(state["steps"])
        mean = state["mean"] / (1 - _BETAS[0] ** steps)
        spread = (state["square"] / (1 - _BETAS[1] ** steps)).sqrt() + _EPSILON
        weight.addcdiv_(mean, spread, value=-rate)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return a matrix [n, m] with the same singular vectors and singular values near one."""
    a, b, c = _COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x
