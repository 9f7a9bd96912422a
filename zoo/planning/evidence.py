"""What the rules go by: what the data show, what is declared, what the user says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from zoo.datasets import modality as modalities
from zoo.errors import UserError
from zoo.planning import anatomy as anatomies

NEEDS_NO_WEIGHTS = "mcbo"


@dataclass(frozen=True)
class UserOptions:
    """What a user says. `modality` is by slot; `available` are the models that can run here.

    `settings` are values of the bundle that the user sets, whatever the rules would choose;
    `widths` those of the weights that are here, by model.
    """

    anatomy: str | None = None
    modality: Mapping[str, str] = field(default_factory=dict)
    pairing: str | None = None
    model: str | None = None
    memory_mib: float | None = None
    accept_guess: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    available: tuple[str, ...] = (NEEDS_NO_WEIGHTS,)
    widths: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """A value, the rule that chose it, and why, in words."""

    value: Any
    rule: str
    because: str

    def to_json(self) -> dict[str, Any]:
        """Return the choice as plain data."""
        return asdict(self)


@dataclass
class Facts:
    """What the rules go by: the fingerprint, boiled down, with the user's word above it."""

    fingerprint: Mapping[str, Any]
    anatomy: dict[str, Any]
    pairing: dict[str, Any]
    slots: tuple[str, str]
    fixed: dict[str, Any]
    moving: dict[str, Any]

    @property
    def alignment(self) -> Mapping[str, Any]:
        """The figures of how the pairs lie."""
        found: Mapping[str, Any] = self.fingerprint.get("alignment", {})
        return found

    def channel(self, side: int) -> Mapping[str, Any]:
        """What is known of the fixed (0) or moving (1) images."""
        found: Mapping[str, Any] = self.fingerprint["channels"].get(self.slots[side], {})
        return found


def gather(fingerprint: Mapping[str, Any], wishes: UserOptions) -> Facts:
    """Bring what is declared and what was seen together; a user's word comes first."""
    counts = fingerprint["pairs"]["slots"]
    if not counts:
        raise UserError("the dataset has no pairs to plan for; list them under registration_val")
    usual = max(counts, key=lambda key: counts[key])
    fixed, _, moving = usual.partition("-")
    unknown = set(wishes.modality) - set(fingerprint["channels"])
    if unknown:
        slots = ", ".join(fingerprint["channels"])
        raise UserError(f"--modality.{min(unknown)}: there is no such slot; there are {slots}")
    beliefs = {slot: dict(c["modality"]) for slot, c in fingerprint["channels"].items()}
    for slot, word in wishes.modality.items():
        beliefs[slot] |= _said(modalities.parse_modality(word, f"--modality.{slot}"), word)
    anatomy, pairing = dict(fingerprint["anatomy"]), dict(fingerprint["pairing"])
    if wishes.anatomy is not None:
        anatomy |= _said(anatomies.checked(wishes.anatomy), wishes.anatomy)
    if wishes.pairing is not None:
        pairing |= _said(wishes.pairing, wishes.pairing)
    return Facts(fingerprint, anatomy, pairing, (fixed, moving), beliefs[fixed], beliefs[moving])


def _said(value: str, word: str) -> dict[str, Any]:
    return {"value": value, "source": "user", "confidence": "declared", "declared": word}
