"""`regzoo pull`: download weights."""

from __future__ import annotations


def pull(model: str, *, source: str | None = None, revision: str | None = None) -> None:
    """Download and verify a model's weights, and store them in the Hugging Face cache.

    Without --source, weights come from the Hub if they are published there, and otherwise from
    their authors (upstream), converted to safetensors. Weights that are on this computer already
    are not downloaded again. HF_HOME and HF_HUB_OFFLINE are respected; a private repository needs
    `hf auth login` or HF_TOKEN.

    Examples:
        regzoo pull unigradicon
        regzoo pull multigradicon:official --source upstream
        regzoo pull unigradicon --source Step_2_final.trch

    Args:
        model: MODEL or MODEL:VARIANT, as listed by `regzoo models`.
        source: The source: hub, upstream, the path of a file, or an https address.
        revision: A tag or commit of the repository on the Hub.
    """
    from zoo.hub.pull import pull as pull_weights

    pull_weights(model, source, revision)
