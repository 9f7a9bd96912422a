"""`regzoo pull`: weights onto this computer."""

from __future__ import annotations


def pull(model: str, *, source: str | None = None, revision: str | None = None) -> None:
    """Fetch a model's weights, check them, and keep them in the Hugging Face cache.

    Without --source they come from the Hub once they are published there, until then from their
    authors (upstream), converted to safetensors. What is here already is not fetched again. HF_HOME
    and HF_HUB_OFFLINE are respected; a private repo needs `hf auth login` or HF_TOKEN.

    Examples:
        regzoo pull unigradicon
        regzoo pull multigradicon:official --source upstream
        regzoo pull unigradicon --source Step_2_final.trch

    Args:
        model: MODEL or MODEL:VARIANT, as `regzoo models` lists them.
        source: hub, upstream, a file, or an https address.
        revision: a tag or commit of the Hub repo.
    """
    from zoo.hub.pull import pull as bring

    bring(model, source, revision)
