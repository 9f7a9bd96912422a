"""`regzoo finetune`: a model is trained further on the dataset of a plan."""

from __future__ import annotations


def finetune(
    plan: str,
    *,
    from_: str | None = None,
    out: str | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    set_: list[str] | None = None,
) -> None:
    """Fine-tune a model on the dataset of a plan.

    The result is a bundle with the new weights, configs with the settings of the plan, and a model
    card with the figures before and after. Run the same command again to resume a training that
    was interrupted; with more steps it continues a training that had ended. The command refuses a
    plan whose dataset has changed. mcbo has no weights: a search finds its settings, and the
    bundle contains them as a preset. The model is listed by `regzoo models` under the name of its
    folder, and --model takes that name or the folder.

    Examples:
        regzoo plan data -o plan.json --anatomy brain --modality.0 mr --model unigradicon
        regzoo finetune plan.json --out my_model --from compact --steps 500
        regzoo register fixed.nii.gz moving.nii.gz --out result --model my_model
        regzoo finetune plan.json --out my_model2 --from my_model --steps 500

    Args:
        plan: The plan of a dataset, written by regzoo plan.
        from: The initial weights: compact, official, the path of a .safetensors file, a model of
            your own by its name or its folder, or scratch for random weights. The default is the
            best weights on this computer.
        out: The folder of the new bundle. The default is the name of the model with -finetuned.
        steps: The total number of training steps, divided into epochs of at most 100; for mcbo,
            the number of trials of its search.
        epochs: The number of epochs of the length in train.yaml, instead of --steps.
        device: The device: cpu, cuda, cuda:1 or mps. The default is a GPU if there is one.
        threads: The number of CPU threads.
        set: A setting of the bundle's train.yaml as KEY=VALUE; may be given several times.
    """
    import sys

    from zoo.pipelines.finetune import finetune as run_finetuning
    from zoo.runtime.settings import parse_settings
    from zoo.training.export import summary

    tuned = run_finetuning(
        plan,
        from_=from_,
        out=out,
        steps=steps,
        epochs=epochs,
        device=device,
        threads=threads,
        settings=parse_settings(set_ or [], ["learning_rate"]),
    )
    print(summary(tuned.folder))
    if tuned.unlisted is not None:
        print(f"regzoo: not listed by regzoo models: {tuned.unlisted}", file=sys.stderr)
