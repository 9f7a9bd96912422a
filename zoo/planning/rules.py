"""The rules that turn a fingerprint and what a user says into values, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.datasets import modality as modalities
from zoo.datasets.modality import HOUNSFIELD
from zoo.errors import UserError
from zoo.planning import anatomy as anatomies
from zoo.planning.alignment import TRUSTED
from zoo.planning.budget import within_memory
from zoo.planning.evidence import NEEDS_NO_WEIGHTS, Choice, Facts, UserOptions
from zoo.planning.presets import Preset, find_preset, modality_pair, model_settings, models

GRADICON = ("unigradicon", "multigradicon")

FAR_MM = 10.0
LITTLE_OVERLAP = 0.7
TWO_CONTRASTS = 0.75
MCBO_REACH_VOXELS = 24


def preset_of(facts: Facts) -> Preset:
    """Return the preset of what is known."""
    pair = modality_pair(facts.fixed["value"], facts.moving["value"], contrasts=contrasts(facts))
    return find_preset(facts.anatomy["value"], pair, facts.pairing["value"])


def contrasts(facts: Facts) -> bool:
    """Say whether two MR images are of two contrasts: as declared, else as their values show."""
    words = [modalities.mr_sequence(b.get("declared")) for b in (facts.fixed, facts.moving)]
    if None not in words:
        return words[0] != words[1]
    sign, trust = facts.alignment.get("sign"), facts.alignment.get("lncc2")
    return sign is not None and (trust or 0.0) >= TRUSTED and sign < TWO_CONTRASTS


def missing_facts_question(facts: Facts, wishes: UserOptions) -> str | None:
    """Return what has to be asked before a model can be chosen; None if nothing."""
    if wishes.model is not None or wishes.accept_guess:
        return None
    flags = []
    for slot, belief in dict(zip(facts.slots, (facts.fixed, facts.moving), strict=True)).items():
        if belief["value"] is None:
            flags.append((f"--modality.{slot} mr", f"{belief['evidence']}"))
    if not flags and facts.anatomy["value"] is None:
        flags.append(("--anatomy brain", facts.anatomy["evidence"]))
    if not flags:
        return None
    line = " ".join(flag for flag, _ in flags)
    why = "; ".join(dict.fromkeys(reason for _, reason in flags))
    return (
        f"what the images show cannot be told from them ({why}); add, with what is true, {line} "
        f"(modalities: {', '.join(modalities.MODALITIES)}; anatomies: "
        f"{', '.join(anatomies.WORDS)}), or --accept-guess for the model that suits any pair"
    )


def check_options(wishes: UserOptions) -> None:
    """Refuse words that nobody knows, before any image is looked at."""
    if wishes.model is not None and wishes.model not in models():
        raise UserError(f"--model {wishes.model!r} is not known; use {', '.join(models())}")
    if wishes.anatomy is not None:
        anatomies.checked(wishes.anatomy)
    for slot, word in wishes.modality.items():
        modalities.parse_modality(word, f"--modality.{slot}")


def choose_model(facts: Facts, preset: Preset, wishes: UserOptions) -> Choice:
    """Choose the first model of the preset that can run here and whose conditions are known."""
    if wishes.model is not None:
        check_options(wishes)
        return Choice(wishes.model, "model.user", f"asked for with --model {wishes.model}")
    passed = []
    if unknown := _unknown(facts):
        passed.append(f"not known: {', '.join(unknown)}")
    for model in preset.models:
        if model == "unireg" and (why := _unireg_unfit(facts)):
            passed.append(f"unireg is left out: {why}")
        elif model not in wishes.available:
            passed.append(f"{model} has no official weights here (regzoo pull {model})")
        else:
            reason = f"{preset.key}: {preset.because}"
            if passed:
                reason = "; ".join([reason, *passed])
            return Choice(model, "model.preset", reason)
    raise UserError(f"none of {', '.join(preset.models)} can run here; regzoo pull one of them")


def _unknown(facts: Facts) -> list[str]:
    """Return the flags that would tell what is not known."""
    sides = zip(facts.slots, (facts.fixed, facts.moving), strict=True)
    flags = [f"--modality.{slot}" for slot, belief in sides if belief["value"] is None]
    return list(dict.fromkeys(flags)) + (["--anatomy"] if facts.anatomy["value"] is None else [])


def _unireg_unfit(facts: Facts) -> str | None:
    """Say why UniReg's conditions cannot be given; None if they can."""
    for name, belief in (("anatomy", facts.anatomy), ("pairing", facts.pairing)):
        if belief["confidence"] != "declared":
            return f"its {name} is not declared (--{name} {belief['value']})"
    return None


def settings(facts: Facts, preset: Preset, model: str, wishes: UserOptions) -> dict[str, Choice]:
    """Choose every value that a model is run with."""
    why = f"{model}'s own default"
    out = {name: Choice(v, "default", why) for name, v in model_settings(model).items()}
    out["affine"] = affine(facts, model)
    if model in GRADICON or model == "unireg":
        out["crop"] = crop(facts)
        for side, name in enumerate(("fixed_modality", "moving_modality")):
            if name not in wishes.settings:
                out[name] = intensity(facts, side)
    if model == "unireg":
        told = {"region", "type"} & wishes.settings.keys()
        out |= {} if len(told) == 2 else _conditions(facts, preset)
    return out | within_memory(facts, model, wishes, out)


def intensity(facts: Facts, side: int) -> Choice:
    """Choose how intensities are scaled: Hounsfield window for CT, percentiles for the others."""
    belief = facts.moving if side else facts.fixed
    value, seen = belief["value"], facts.channel(side).get("intensity", {})
    if value in HOUNSFIELD:
        if seen and not seen["hounsfield"]:
            flag = "moving_modality" if side else "fixed_modality"
            raise UserError(
                f"slot {facts.slots[side]} is declared {value} but is not in Hounsfield units "
                f"({belief['evidence']}); bring the images to Hounsfield units (often: subtract "
                f"1024), or add --set {flag}=mr to scale them by their own percentiles"
            )
        return Choice(value, "intensity.hounsfield", "CT in Hounsfield units: a fixed window")
    if value is None:
        because = "not known: Hounsfield window if the values prove CT, percentiles otherwise"
        return Choice(None, "intensity.detect", because)
    return Choice(value, "intensity.percentiles", f"{value}: each image by its own percentiles")


def affine(facts: Facts, model: str) -> Choice:
    """Choose what comes before the deformation."""
    found = facts.alignment
    if model not in GRADICON:
        return Choice("auto", "affine.auto", f"{model} starts from aligned images; auto tries it")
    if not found.get("measured"):
        return Choice("auto", "affine.unmeasured", "how the images lie is not known: auto tries it")
    if found["smallest_overlap"] < LITTLE_OVERLAP:
        share = f"{100 * found['smallest_overlap']:.0f} %"
        return Choice("auto", "affine.overlap", f"only {share} of a fixed body is in the other")
    if found["largest_centres_mm"] > FAR_MM:
        apart = f"{found['largest_centres_mm']:.1f} mm"
        return Choice("auto", "affine.centres", f"bodies lie up to {apart} apart")
    if found["lncc2"] is None:
        return Choice("auto", "affine.unmeasured", "how alike the images are cannot be measured")
    if found["lncc2"] < TRUSTED:
        because = f"interior LNCC^2 is at its floor ({found['lncc2']:.2f}): nothing is aligned yet"
        return Choice("auto", "affine.floor", because)
    return Choice("none", "affine.aligned", "the images are roughly aligned, as in its training")


def crop(facts: Facts) -> Choice:
    """Choose whether a network sees only what both fields of view hold."""
    overlap = facts.alignment.get("smallest_overlap")
    if overlap is None:
        return Choice(False, "crop.unmeasured", "how the images lie is not known: taken whole")
    share = f"{100 * overlap:.0f} % of a fixed body is in the other field of view"
    if overlap < LITTLE_OVERLAP:
        return Choice(True, "crop.overlap", f"only {share}: the network sees the shared part")
    return Choice(False, "crop.whole", f"at least {share}")


def _conditions(facts: Facts, preset: Preset) -> dict[str, Choice]:
    """Choose UniReg's type and region."""
    from zoo.networks.unireg_tasks import TASKS

    region = preset.unireg.get("region", facts.anatomy["value"])
    names = {"lung": "chest", "heart": "cardiac", "head-neck": "head"}
    region = names.get(str(region), region)
    if region not in TASKS:
        raise UserError(
            f"UniReg has no condition for {region or 'an unknown anatomy'}; add --anatomy with one "
            "of lung, abdomen, head-neck, liver, heart, brain, or take another --model"
        )
    kind = facts.pairing["value"]
    if kind is None:
        raise UserError(
            "UniReg must be told the pairing; add --pairing inter (two patients) or --pairing "
            f"intra (one patient); its {region} task was trained on {TASKS[region].type}"
        )
    because = f"anatomy {facts.anatomy['value']}, pairing {kind}"
    return {
        "region": Choice(region, "unireg.condition", because),
        "type": Choice(kind, "unireg.condition", because),
    }


def cautions(facts: Facts, preset: Preset, model: str) -> Iterator[str]:
    """Yield what a user should know before trusting the result."""
    errors = [p for p in facts.fingerprint.get("problems", ()) if p.get("level") == "error"]
    if errors:
        first = f"{errors[0]['file']} {errors[0]['what']}"
        yield f"{len(errors)} errors in the data, the first: {first}; regzoo check lists them all"
    if model != NEEDS_NO_WEIGHTS and model not in preset.trained:
        yield f"experimental: {model} was not trained on pairs like these ({preset.key})"
    for side, belief in (("fixed", facts.fixed), ("moving", facts.moving)):
        if belief.get("conflict"):
            declared, shown = belief["declared"], belief["evidence"]
            yield f"the {side} images are declared {declared}, and their values differ: {shown}"
    sign, trust = facts.alignment.get("sign"), facts.alignment.get("lncc2")
    one = facts.fixed["value"] == facts.moving["value"] and not contrasts(facts)
    if one and sign is not None and (trust or 0) >= TRUSTED and sign < TWO_CONTRASTS:
        yield f"declared as one contrast, but local correlations disagree in sign ({sign:.2f})"
    if model in GRADICON:
        yield from _resizing(facts)
    shift = facts.alignment.get("largest_displacement_mm")
    spacing = facts.channel(0).get("spacing_mm")
    if model == "mcbo" and shift is not None and spacing:
        reach = MCBO_REACH_VOXELS * min(spacing["p0"])
        if shift > reach:
            tag = (
                "experimental: key points lie" if facts.alignment.get("by_points") else "bodies lie"
            )
            yield (
                f"{tag} up to {shift:.0f} mm apart, MCBO searches {reach:.0f} mm on either side: "
                "the affine start has to bring them nearer"
            )
    if facts.fingerprint["pairs"].get("masks_on_both"):
        yield "masks on both sides restrict where the images are compared; they do not blank them"


def _resizing(facts: Facts) -> Iterator[str]:
    """Yield what resizing to 175 voxels an axis does to these images."""
    ratio = facts.fingerprint["pairs"].get("largest_field_ratio")
    if ratio is not None and ratio > 1.5:
        yield f"fields of view differ by a factor of {ratio:.2g}; --set crop=true compares one"
    for side in (0, 1):
        channel = facts.channel(side)
        if channel.get("largest_anisotropy", 1) > 3:
            long = channel["largest_anisotropy"]
            yield f"slot {facts.slots[side]}: voxels up to {long:.2g} times as long as wide"
        if "field_mm" in channel and max(channel["field_mm"]["p100"]) / 175 > 2.5:
            step = max(channel["field_mm"]["p100"]) / 175
            yield f"slot {facts.slots[side]}: 175 voxels an axis are {step:.2g} mm wide here"
