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
    set_: list[str] | None = None,
    name: str = "custom",
    accept_guess: bool = False,
    explain: bool = False,
    diff: bool = False,
) -> None:
    """Plan how a dataset is registered.

    The plan is an overlay for a bundle's configs, with the reason of every value. What is needed
    and cannot be told is asked for by the flag to add. Values of your own go to a new plan, of
    another name, that inherits.

    Examples:
        regzoo plan data -o plan.json --anatomy brain --modality.0 mr
        regzoo plan plan.json --explain
        regzoo plan plan.json --set affine=rigid --name stiff -o stiff.json
        regzoo plan --diff plan.json stiff.json

    Args:
        source: a dataset, a fingerprint, or a plan to explain, to change or to compare.
        second: for --diff, the other plan.
        out: the file to write; needed unless --explain or --diff is given.
        anatomy: what the images show, such as brain, lung, abdomen.
        modality: of a slot, --modality.0 ct: ct, cbct, mr, us or pet.
        pairing: intra for pairs of one person, inter for pairs of two.
        model: take this model, whatever the presets say.
        memory: the most memory a run may take, such as 8GB.
        set: a setting of the bundle, KEY=VALUE; may be given several times.
        name: what a plan with --set is called.
        accept_guess: go on with the model that suits any pair where something is not known.
        explain: print every value with its rule and reason.
        diff: print what two plans differ in.
    """
    from contextlib import nullcontext
    from pathlib import Path

    from zoo.errors import UserError
    from zoo.hub.bundles import bundle_folder, config_keys
    from zoo.hub.weights import models_here, models_to_choose
    from zoo.io.atomic import check_writable, write_json
    from zoo.io.json_documents import read_json_object, report_missing_keys
    from zoo.planning.evidence import UserOptions
    from zoo.planning.fingerprint import read_fingerprint, take_fingerprint
    from zoo.planning.memory import parse_memory
    from zoo.planning.plan import difference, make_plan, override, read_plan
    from zoo.planning.plan import explain as explained
    from zoo.planning.rules import check_options
    from zoo.runtime.settings import parse_settings

    if diff:
        if second is None:
            raise UserError("--diff needs two plans: regzoo plan --diff A.json B.json")
        with report_missing_keys(f"{source} or {second}"):
            print(difference(read_plan(source), read_plan(second)))
        return
    if second is not None:
        raise UserError(f"plan cannot take {second!r}; two plans are compared with --diff")
    if out is None and not explain:
        raise UserError("say where the plan goes with --out FILE, or only look with --explain")
    if out is not None:
        check_writable(out)
    keys: set[str] = set()
    if Path(source).is_file() and source.endswith(".json"):
        keys = set(read_json_object(source))
    settings = parse_settings(set_ or [], ["affine"])
    here, choice = models_here(), models_to_choose()
    wishes = UserOptions(
        anatomy=anatomy,
        modality=modality or {},
        pairing=pairing,
        model=model,
        memory_mib=parse_memory(memory) if memory else None,
        accept_guess=accept_guess,
        settings=settings,
        available=choice,
        widths=here,
    )
    check_options(wishes)
    if "plan" in keys:
        if wishes != UserOptions(settings=settings, available=choice, widths=here):
            raise UserError(f"{source} is a plan: change it with --set, or plan the dataset again")
        made = read_plan(source)
    elif "channels" in keys:
        with report_missing_keys(source):
            made = make_plan(read_fingerprint(source), wishes)
    else:
        from zoo.datasets.reading import read_dataset

        made = make_plan(take_fingerprint(read_dataset(source)).document, wishes)
    with report_missing_keys(source) if keys else nullcontext():
        if settings:
            made = override(made, name, settings, config_keys(bundle_folder(made["plan"]["model"])))
        if explain:
            print(explained(made))
    if out is not None:
        write_json(out, made)
        told = made["plan"]
        if not explain:
            print(f"{told['model']}: {told['choices']['model']['because']}")
            for text in told["cautions"]:
                print(f"caution: {text}")
        print(f"plan {told['name']} written to {out}")
