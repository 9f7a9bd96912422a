"""`regzoo plan`: which model, which preprocessing, which conditions, and why."""

from __future__ import annotations

from typing import Literal


def plan(
    source: str,
    second: str | None = None,
    *,
    out: str | None = None,
    anatomy: str | None = None,
    modality: dict[str, str] | None = None,
    pairing: Literal["intra", "inter"] | None = None,
    model: str | None = None,
    memory: str | None = None,
    effort: Literal["fast", "normal", "best"] | None = None,
    set_: list[str] | None = None,
    name: str = "custom",
    accept_guess: bool = False,
    force: bool = False,
    explain: bool = False,
    diff: bool = False,
) -> None:
    """Plan how the pairs of a dataset are registered.

    A plan is a file of settings for a model's bundle, with the reason of every value. If a required
    fact is missing, the command stops and names the option that supplies it. With --set, settings
    of a dataset's plan or of an earlier plan are replaced; the new plan has a name of its own.

    Examples:
        regzoo plan data -o plan.json --anatomy brain --modality.0 mr
        regzoo plan plan.json --explain
        regzoo plan plan.json --set affine=rigid --name stiff -o stiff.json
        regzoo plan --diff plan.json stiff.json
        regzoo plan data -o plan.json --model my_model
        regzoo plan plan.json --effort fast -o fast.json

    Args:
        source: The folder of a dataset or its dataset.json, a fingerprint, or a plan to explain,
            change or compare.
        second: The other plan, for --diff.
        out: The file to write; required unless --explain or --diff is given.
        anatomy: What the images show, such as brain, lung or abdomen.
        modality: The modality of a slot, such as --modality.0 ct: ct, cbct, mr, us or pet.
        pairing: The pairing: intra (one patient) or inter (two patients).
        model: The model to use instead of the one that the presets recommend, or one of your own
            by its name or its folder.
        memory: The most memory that a run may take, such as 8GB.
        effort: How much is computed: fast (coarser and shorter), normal (the settings of the
            rules) or best (the best of several candidates). The default is normal, or the effort
            of a plan that is changed.
        set: A setting of the bundle as KEY=VALUE; may be given several times.
        name: The name of a plan with settings from --set.
        accept_guess: Choose a model that suits any pair if a fact about the images is unknown.
        force: Plan with weights that are for pairs of one contrast also for pairs of two, for
            example to train them further.
        explain: Print every value with its rule and reason.
        diff: Print the settings in which two plans differ.
    """
    from zoo.errors import UserError
    from zoo.pipelines.plan import describe_choice, explanation, plan_difference
    from zoo.pipelines.plan import plan as make_plan
    from zoo.runtime.settings import parse_settings

    if diff:
        if second is None:
            raise UserError("--diff compares two plans: regzoo plan --diff A.json B.json")
        print(plan_difference(source, second))
        return
    if second is not None:
        raise UserError(f"{second!r} is a second plan; add --diff to compare two plans")
    if out is None and not explain:
        raise UserError("add --out FILE to write the plan, or --explain to print it only")
    made = make_plan(
        source,
        out=out,
        anatomy=anatomy,
        modality=modality,
        pairing=pairing,
        model=model,
        memory=memory,
        effort=effort,
        settings=parse_settings(set_ or [], ["affine"]),
        name=name,
        accept_guess=accept_guess,
        force=force,
    )
    print(explanation(made, source) if explain else describe_choice(made))
    if out is not None:
        print(f"Plan {made['plan']['name']} written to {out}")
