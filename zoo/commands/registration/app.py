"""`regzoo app`: the zoo in a browser."""

from __future__ import annotations


def app(
    *,
    port: int | None = None,
    data: str | None = None,
    run: str | None = None,
    max_upload: str | None = None,
    public: bool = False,
) -> None:
    """Serve a page in which two scans are registered, and the pairs of a run are looked at.

    The command prints an address with a secret token; open it in a browser on this computer. Images
    are dropped into the page or chosen in the folder of --data. Uploads and results are kept in a
    temporary folder that is removed when the command ends, with Ctrl-C: download what you need.
    The page shows what was detected, the plan with its reasons, the progress, the verdict with the
    interactive viewer, and the same registration as a command.

    It needs Starlette and uvicorn (pip install 'regzoo[app]').

    Examples:
        regzoo app
        regzoo app --data scans
        regzoo app --run runs/mcbo
        regzoo app --public --port 7860 --data demo

    Args:
        port: The port. The default is 8470, or a free one if that is taken.
        data: A folder whose images can be chosen in the page. Nothing outside is read, and nothing
            in it is written.
        run: The folder of a run of regzoo run, finished or in progress, whose pairs are shown.
        max_upload: The largest upload, such as 200MB. The default is 4GB, and 200MB with --public.
        public: Serve everybody who can reach this computer, without a token, as a Space does.
            Visitors see only their own images; what was not used for an hour is removed.
    """
    from pathlib import Path

    from zoo.errors import UserError

    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UserError(
            "regzoo app needs Starlette and uvicorn; install them with pip install 'regzoo[app]'"
        ) from None
    from zoo.app.server import AppOptions, serve
    from zoo.planning.memory import parse_memory

    def announce(address: str) -> None:
        print(f"Open {address} in a browser; Ctrl-C ends the app", flush=True)

    limit = None if max_upload is None else parse_memory(max_upload, "--max-upload")
    serve(
        AppOptions(
            port=port,
            data=None if data is None else Path(data),
            run=None if run is None else Path(run),
            max_upload=None if limit is None else int(limit * (1 << 20)),
            public=public,
        ),
        announce,
    )
