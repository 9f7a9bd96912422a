"""The evidence that the rules use: what the data show, what is declared, what the user states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from zoo.datasets import modality as modalities
from zoo.errors import UserError
from zoo.hub.specs import NORMAL
from zoo.hub.weights import models_without_weights
from zoo.planning.anatomy import parse_anatomy
from zoo.planning.beliefs import contradicted


@dataclass(frozen=True)
class UserOptions:
    """The options of a user.

    `modality` is by slot. `settings` are values of the bundle that replace what the rules choose.
    `available` are the models that can run on this computer, `widths` the widths of their weights
    and `variants` their variants. With `force` weights that are for pairs of one contrast are
    planned for two contrasts, with a caution.
    """

    anatomy: str | None = None
    modality: Mapping[str, str] = field(default_factory=dict)
    pairing: str | None = None
    model: str | None = None
    memory_mib: float | None = None
    effort: str = NORMAL
    accept_guess: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    available: tuple[str, ...] = field(default_factory=models_without_weights)
    widths: Mapping[str, int] = field(default_factory=dict)
    variants: Mapping[str, str] = field(default_factory=dict)
    force: bool = False


@dataclass(frozen=True)
class Choice:
    """A value, the rule that chose it, and the reason in words."""

    value: Any
    rule: str
    because: str

    def to_json(self) -> dict[str, Any]:
        """Return the choice as plain data."""
        return asdict(self)


@dataclass
class Evidence:
    """What is known of the pairs to plan for: the fingerprint, with the user's statements above it.

    `anatomy`, `pairing`, `fixed` and `moving` (the modalities) are beliefs as plain data; `slots`
    are those of the fixed and of the moving images.
    """

    fingerprint: Mapping[str, Any]
    anatomy: dict[str, Any]
    pairing: dict[str, Any]
    slots: tuple[str, str]
    fixed: dict[str, Any]
    moving: dict[str, Any]

    @property
    def alignment(self) -> Mapping[str, Any]:
        """The figures of the images' alignment before registration; empty if not measured."""
        figures: Mapping[str, Any] = self.fingerprint.get("alignment", {})
        return figures

    def channel(self, side: int) -> Mapping[str, Any]:
        """Return what the fingerprint holds of the fixed (0) or the moving (1) images."""
        channel: Mapping[str, Any] = self.fingerprint["channels"].get(self.slots[side], {})
        return channel


def gather_evidence(fingerprint: Mapping[str, Any], options: UserOptions) -> Evidence:
    """Combine a fingerprint with what the user states, which takes precedence."""
    counts = fingerprint["pairs"]["slots"]
    if not counts:
        raise UserError("the dataset has no pairs to plan for; list them under registration_val")
    most_frequent = max(counts, key=lambda key: counts[key])
    fixed, _, moving = most_frequent.partition("-")
    unknown = set(options.modality) - set(fingerprint["channels"])
    if unknown:
        slots = ", ".join(fingerprint["channels"])
        raise UserError(f"--modality.{min(unknown)}: there is no such slot; the slots are {slots}")
    beliefs = {slot: dict(c["modality"]) for slot, c in fingerprint["channels"].items()}
    for slot, word in options.modality.items():
        modality = modalities.parse_modality(word, f"--modality.{slot}")
        values = fingerprint["channels"][slot].get("intensity", {})
        beliefs[slot] |= _declared(modality, word)
        beliefs[slot].pop("conflict", None)
        if contradicted(modality, values.get("hounsfield", 0), values.get("decoded", 0)):
            beliefs[slot]["conflict"] = True
    anatomy, pairing = dict(fingerprint["anatomy"]), dict(fingerprint["pairing"])
    if options.anatomy is not None:
        anatomy |= _declared(parse_anatomy(options.anatomy), options.anatomy)
    if options.pairing is not None:
        pairing |= _declared(options.pairing, options.pairing)
    return Evidence(fingerprint, anatomy, pairing, (fixed, moving), beliefs[fixed], beliefs[moving])


def _declared(value: str, word: str) -> dict[str, Any]:
    return {"value": value, "source": "user", "confidence": "declared", "declared": word}
