"""regzoo: universal 3-D medical image registration that configures itself."""

import time
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.api import (
        Registration,
        compare,
        evaluate,
        finetune,
        plan,
        propagate,
        register,
        run,
        template,
    )

__version__ = "0.1.0"

IMPORTED_AT = time.perf_counter()
"""The time of this import, for the wall time of commands."""

__all__ = [
    "Registration",
    "UserError",
    "__version__",
    "compare",
    "evaluate",
    "finetune",
    "plan",
    "propagate",
    "register",
    "run",
    "template",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch and MONAI on first use, so that `import zoo` is quick."""
    if name in __all__:
        from zoo import api

        return getattr(api, name)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the lazily imported names as well, for completion in an interactive session."""
    return sorted({*globals(), *__all__})
