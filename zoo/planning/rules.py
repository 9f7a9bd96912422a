"""The rules that turn evidence and the user's options into settings, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.datasets import modality as modalities
from zoo.datasets.modality import HOUNSFIELD
from zoo.errors import UserError, nearest
from zoo.hub.catalogue import find_model, load_catalogue
from zoo.hub.setting_rules import SettingRule, shown_key
from zoo.hub.specs import Condition, ModelSpec
from zoo.planning.alignment import TRUSTED_LNCC2
from zoo.planning.anatomy import ANATOMIES, parse_anatomy
from zoo.planning.budget import within_memory
from zoo.planning.effort import effort_choices, parse_effort
from zoo.planning.evidence import Choice, Evidence, UserOptions
from zoo.planning.presets import Preset, find_preset, modality_pair

FAR_MM = 10.0
"""Distance between the bodies' centres of mass above which images are not roughly aligned."""
LITTLE_OVERLAP = 0.7
"""Share of the fixed body inside the moving field of view below which little is shared."""
TWO_CONTRASTS = 0.75
"""Agreement in sign of the local correlations below which two MR images are of two contrasts."""


def preset_of(evidence: Evidence) -> Preset:
    """Return the preset for the evidence."""
    fixed, moving = evidence.fixed["value"], evidence.moving["value"]
    pair = modality_pair(fixed, moving, contrasts=two_contrasts(evidence))
    return find_preset(evidence.anatomy["value"], pair, evidence.pairing["value"])


def two_contrasts(evidence: Evidence) -> bool:
    """Return whether two MR images are of two contrasts: as declared, else as their values show."""
    declared = [
        modalities.mr_sequence(b.get("declared")) for b in (evidence.fixed, evidence.moving)
    ]
    if None not in declared:
        return declared[0] != declared[1]
    return signs_disagree(evidence)


def pair_of_two_contrasts(evidence: Evidence) -> str | None:
    """Return why the images of a pair are of two contrasts; None if nothing shows that they are.

    CT and cone-beam CT count as one contrast.
    """
    fixed, moving = evidence.fixed, evidence.moving
    values = fixed["value"], moving["value"]
    if None not in values and values[0] != values[1] and not set(values) <= set(HOUNSFIELD):
        return f"the fixed images are {values[0]} and the moving images {values[1]}"
    if values[0] in HOUNSFIELD or not two_contrasts(evidence):
        return None
    words = fixed.get("declared"), moving.get("declared")
    if None not in map(modalities.mr_sequence, words):
        return f"the images are declared as {words[0]} and {words[1]}"
    return f"local correlations differ in sign ({evidence.alignment['sign']:.2f})"


def unsuitable_weights(evidence: Evidence, spec: ModelSpec, options: UserOptions) -> str | None:
    """Return why the weights of a model do not suit the pairs, and which models do; else None."""
    name = options.variants.get(spec.name, "")
    variant = spec.variants.get(name)
    reason = pair_of_two_contrasts(evidence)
    if variant is None or variant.contrasts == "any" or reason is None:
        return None
    others = [other for other in load_catalogue() if other in options.widths]
    suited = [other for other in others if not _for_one_contrast(other, options)]
    return (
        f"the {name} weights of {spec.name} are for pairs of one contrast and make pairs of two "
        f"worse ({reason}); use --model {' or --model '.join(suited or ['mcbo'])}"
    )


def _for_one_contrast(model: str, options: UserOptions) -> bool:
    """Return whether the weights of a model on this computer are for pairs of one contrast only."""
    variant = find_model(model).variants.get(options.variants.get(model, ""))
    return variant is not None and variant.contrasts == "one"


def signs_disagree(evidence: Evidence) -> bool:
    """Return whether local correlations differ in sign; aligned images are needed to tell."""
    sign, lncc2 = evidence.alignment.get("sign"), evidence.alignment.get("lncc2")
    return sign is not None and (lncc2 or 0.0) >= TRUSTED_LNCC2 and sign < TWO_CONTRASTS


def missing_facts_message(evidence: Evidence, options: UserOptions) -> str | None:
    """Return the message that asks for required facts; None if no fact is missing."""
    if options.model is not None or options.accept_guess:
        return None
    flags = [
        (f"--modality.{slot} mr", str(belief["evidence"]))
        for slot, belief in _modalities(evidence).items()
        if belief["value"] is None
    ]
    if not flags and evidence.anatomy["value"] is None:
        flags = [("--anatomy brain", str(evidence.anatomy["evidence"]))]
    if not flags:
        return None
    line = " ".join(flag for flag, _ in flags)
    reasons = "; ".join(dict.fromkeys(reason for _, reason in flags))
    known = f"modalities: {', '.join(modalities.MODALITIES)}; anatomies: {', '.join(ANATOMIES)}"
    return (
        f"the files do not show what the images are of ({reasons}); add {line} with the true "
        f"values ({known}), or --accept-guess for the model that suits any pair"
    )


def check_options(options: UserOptions) -> None:
    """Refuse unknown models, anatomies, modalities and settings, before any image is read."""
    if options.model is not None and options.model not in load_catalogue():
        models = ", ".join(load_catalogue())
        raise UserError(f"--model {options.model!r} is not known; use one of {models}")
    if options.anatomy is not None:
        parse_anatomy(options.anatomy)
    parse_effort(options.effort)
    for slot, word in options.modality.items():
        modalities.parse_modality(word, f"--modality.{slot}")
    _check_settings(options.settings, options.model)


def _check_settings(settings: Mapping[str, Any], model: str | None) -> None:
    """Refuse settings that the model does not have; without a model, those that no model has.

    The settings of a model that is chosen later are validated again when its bundle is opened.
    """
    models = [find_model(model)] if model else list(load_catalogue().values())
    for key, value in settings.items():
        having = [spec for spec in models if key in spec.setting_rules()]
        if not having:
            known = {name for spec in models for name in spec.setting_rules()}
            owner = model or "no model"
            verb = "has no such setting" if model else "has such a setting"
            raise UserError(f"--set {shown_key(key)}: {owner} {verb}{nearest(key, sorted(known))}")
        reasons = [_refusal(spec.setting_rules()[key], value) for spec in having]
        if all(reasons):
            raise UserError(f"--set {key}: {reasons[0]}")


def _refusal(rule: SettingRule, value: Any) -> str | None:
    """Return why a rule does not allow a value; None if it does."""
    try:
        rule.checked(value)
    except ValueError as error:
        return str(error)
    return None


def choose_model(evidence: Evidence, preset: Preset, options: UserOptions) -> Choice:
    """Choose the first model of the preset that can run here and whose conditions are known."""
    if options.model is not None:
        check_options(options)
        return Choice(options.model, "model.user", f"requested with --model {options.model}")
    remarks = []
    if flags := _flags_of_unknown(evidence):
        remarks.append(f"not known: {', '.join(flags)}")
    for name in preset.models:
        obstacle = _missing_condition(evidence) if find_model(name).planning.conditions else None
        if obstacle:
            remarks.append(f"{name} is left out: {obstacle}")
        elif name not in options.available:
            remarks.append(f"{name} has no official weights here (regzoo pull {name})")
        else:
            reason = "; ".join([f"{preset.key}: {preset.because}", *remarks])
            return Choice(name, "model.preset", reason)
    models = ", ".join(preset.models)
    raise UserError(f"none of {models} can run here; get weights with regzoo pull MODEL")


def _modalities(evidence: Evidence) -> dict[str, dict[str, object]]:
    """Return the beliefs about the modalities by slot."""
    return dict(zip(evidence.slots, (evidence.fixed, evidence.moving), strict=True))


def _flags_of_unknown(evidence: Evidence) -> list[str]:
    """Return the flags that supply the unknown facts."""
    flags = [
        f"--modality.{s}" for s, belief in _modalities(evidence).items() if not belief["value"]
    ]
    return flags + (["--anatomy"] if evidence.anatomy["value"] is None else [])


def _missing_condition(evidence: Evidence) -> str | None:
    """Return why the conditions of a conditional model are not certain; None if they are."""
    for name, belief in (("anatomy", evidence.anatomy), ("pairing", evidence.pairing)):
        if belief["confidence"] != "declared":
            return f"the {name} is not declared (--{name} {belief['value']})"
    return None


def choose_settings(evidence: Evidence, spec: ModelSpec, options: UserOptions) -> dict[str, Choice]:
    """Choose every setting that a model runs with."""
    rules, reason = spec.planning, f"the default of {spec.name}"
    chosen = {name: Choice(v, "default", reason) for name, v in rules.defaults.items()}
    chosen |= effort_choices(spec, options.effort, options.settings)
    if options.memory_mib is not None and "candidates" in chosen:
        raise UserError(
            f"--memory cannot be combined with --effort {options.effort}, because the memory of "
            "several candidates was not measured; leave one of them out"
        )
    chosen["affine"] = initial_affine(evidence, spec)
    if rules.crop:
        chosen["crop"] = crop(evidence)
    if rules.modality_intensity:
        for side, name in enumerate(("fixed_modality", "moving_modality")):
            if name not in options.settings:
                chosen[name] = intensity(evidence, side)
    if rules.conditions and not {"region", "type"} <= options.settings.keys():
        chosen |= _condition(evidence, spec)
    return chosen | within_memory(evidence, spec, options, chosen)


def intensity(evidence: Evidence, side: int) -> Choice:
    """Choose how intensities are scaled: Hounsfield window for CT, percentiles for the others."""
    belief = evidence.moving if side else evidence.fixed
    value, values = belief["value"], evidence.channel(side).get("intensity", {})
    if value in HOUNSFIELD:
        if values and not values["hounsfield"]:
            setting = "moving_modality" if side else "fixed_modality"
            raise UserError(
                f"slot {evidence.slots[side]} is declared as {value} but is not in Hounsfield "
                f"units ({belief['evidence']}); convert the images to Hounsfield units (often: "
                f"subtract 1024), or add --set {setting}=mr to scale them by their own percentiles"
            )
        return Choice(value, "intensity.hounsfield", "CT in Hounsfield units: a fixed window")
    if value is None:
        reason = "not known: a Hounsfield window if the values prove CT, percentiles otherwise"
        return Choice(None, "intensity.detect", reason)
    return Choice(value, "intensity.percentiles", f"{value}: each image by its own percentiles")


def initial_affine(evidence: Evidence, spec: ModelSpec) -> Choice:
    """Choose the initial affine alignment."""
    figures = evidence.alignment
    if spec.planning.initial_affine == "auto":
        reason = f"{spec.name} needs roughly aligned images; auto aligns them if that helps"
        return Choice("auto", "affine.auto", reason)
    if not figures.get("measured"):
        reason = "the alignment of the images was not measured"
        return Choice("auto", "affine.unmeasured", reason)
    if figures["smallest_overlap"] < LITTLE_OVERLAP:
        share = f"{100 * figures['smallest_overlap']:.0f} %"
        reason = f"only {share} of a fixed body is in the moving field of view"
        return Choice("auto", "affine.overlap", reason)
    if figures["largest_centres_mm"] > FAR_MM:
        distance = f"{figures['largest_centres_mm']:.1f} mm"
        return Choice("auto", "affine.centres", f"the bodies are up to {distance} apart")
    if figures["lncc2"] is None:
        return Choice("auto", "affine.unmeasured", "the similarity of the images is not measurable")
    if figures["lncc2"] < TRUSTED_LNCC2:
        reason = f"the images are not aligned: squared local correlation {figures['lncc2']:.2f}"
        return Choice("auto", "affine.floor", reason)
    reason = f"the images are roughly aligned, as in the training of {spec.name}"
    return Choice("none", "affine.aligned", reason)


def crop(evidence: Evidence) -> Choice:
    """Choose whether a network sees only the part that both fields of view share."""
    overlap = evidence.alignment.get("smallest_overlap")
    if overlap is None:
        reason = "the alignment of the images was not measured: they are used whole"
        return Choice(False, "crop.unmeasured", reason)
    share = f"{100 * overlap:.0f} % of a fixed body is in the moving field of view"
    if overlap < LITTLE_OVERLAP:
        return Choice(True, "crop.overlap", f"only {share}: the network sees the shared part")
    return Choice(False, "crop.whole", f"at least {share}")


def _condition(evidence: Evidence, spec: ModelSpec) -> dict[str, Choice]:
    """Choose the settings `region` and `type` of a conditional model."""
    anatomy, pairing = evidence.anatomy["value"], evidence.pairing["value"]
    conditions: Mapping[str, Condition] = spec.planning.conditions
    if anatomy not in conditions:
        raise UserError(
            f"{spec.title} has no condition for {anatomy or 'an unknown anatomy'}; add --anatomy "
            f"with one of {', '.join(conditions)}, or use another --model"
        )
    trained = conditions[anatomy]
    if pairing is None:
        raise UserError(
            f"{spec.title} needs the pairing; add --pairing inter (two patients) or --pairing "
            f"intra (one patient); its region {trained.region} was trained on {trained.type}"
        )
    reason = f"anatomy {anatomy}, pairing {pairing}"
    return {
        "region": Choice(trained.region, f"{spec.name}.condition", reason),
        "type": Choice(pairing, f"{spec.name}.condition", reason),
    }
