"""The conditions of UniReg: the pairing type and the anatomical region of a pair.

The network receives a condition as weights [B, n] over its n options, which sum to one; a plain
name becomes a one-hot row. The order of the options is that of the released weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

import torch
from torch import Tensor

from zoo.errors import UserError

UNKNOWN = "unknown"

Choice: TypeAlias = str | Mapping[str, float]
ConditionLike: TypeAlias = Choice | Sequence[Choice] | Tensor


@dataclass(frozen=True)
class Condition:
    """One condition: its name, its options in order, and whether options may be mixed.

    A condition that `mixes` also accepts a weight per option, and "unknown" for the mean of all
    options. The released weights were trained on neither; "unknown" is experimental.
    """

    name: str
    options: tuple[str, ...]
    mixes: bool = False

    @property
    def allowed(self) -> tuple[str, ...]:
        """The allowed names."""
        return (*self.options, UNKNOWN) if self.mixes else self.options

    def encode(self, value: ConditionLike | None, batch: int) -> Tensor:
        """Return the weights [B, n] of `value`: one choice for the whole batch or one per sample.

        A choice is a name or, if options may be mixed, a mapping from names to weights, which are
        normalised to the sum one. A tensor is taken as the weights themselves, [B, n] or [1, n].
        """
        if value is None:
            raise UserError(
                f"UniReg needs the {self.name} of the pair: give one of {', '.join(self.allowed)}"
            )
        if isinstance(value, Tensor):
            weights = value.float()
        elif isinstance(value, str | Mapping):
            weights = self._row(value)[None]
        elif isinstance(value, Sequence) and len(value):
            weights = torch.stack([self._row(choice) for choice in value])
        else:
            raise UserError(
                f"the {self.name} {value!r} is neither a name nor a list of names; "
                f"{self._advice('')}"
            )
        if weights.ndim != 2 or weights.shape[1] != len(self.options):
            raise UserError(
                f"the {self.name} is a tensor of shape {list(weights.shape)}; the shape must be "
                f"[{batch}, {len(self.options)}], with a weight for each of "
                f"{', '.join(self.options)}"
            )
        if len(weights) not in (1, batch):
            raise UserError(
                f"the {self.name} is given for {len(weights)} pairs, but the batch has {batch}; "
                "give one for the whole batch or one for each pair"
            )
        return self._normalised(weights).expand(batch, -1)

    def _row(self, choice: Choice) -> Tensor:
        """Return the weights [n] of one choice, not normalised."""
        if isinstance(choice, str):
            choice = {choice: 1.0}
        elif not isinstance(choice, Mapping):
            raise UserError(f"the {self.name} {choice!r} is not a name; {self._advice('')}")
        row = torch.zeros(len(self.options))
        for name, weight in choice.items():
            if name == UNKNOWN and self.mixes:
                row += self._number(weight) / len(self.options)
            elif name in self.options:
                row[self.options.index(name)] += self._number(weight)
            else:
                raise UserError(f"the {self.name} {name!r} is unknown; {self._advice(str(name))}")
        return row

    def _number(self, weight: float) -> float:
        try:
            return float(weight)
        except (TypeError, ValueError):
            raise UserError(
                f"the weight {weight!r} of a {self.name} is not a number; give a number of zero or "
                "more, such as 0.5"
            ) from None

    def _normalised(self, weights: Tensor) -> Tensor:
        """Check weights [B, n] and normalise each row to the sum one."""
        total = weights.sum(dim=1, keepdim=True)
        if not (weights.isfinite().all() and (weights >= 0).all() and (total > 0).all()):
            raise UserError(
                f"the weights {weights.tolist()} of the {self.name} are not a mixture; every "
                "weight must be finite and not negative, and at least one must be positive"
            )
        if not self.mixes and ((weights > 0).sum(dim=1) > 1).any():
            raise UserError(f"the {self.name} cannot be mixed; choose {' or '.join(self.options)}")
        return weights / total

    def _advice(self, name: str) -> str:
        near = get_close_matches(name.lower(), self.allowed, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{hint}choose one of {', '.join(self.allowed)}"


TYPE = Condition("type", ("inter", "intra"))
REGION = Condition("region", ("chest", "abdomen", "head", "liver", "cardiac", "brain"), mixes=True)
