"""regzoo: universal 3-D medical image registration that configures itself."""

from typing import TYPE_CHECKING, Any

from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.api import Registration, register

__version__ = "0.1.0"

__all__ = ["Registration", "UserError", "__version__", "register"]


def __getattr__(name: str) -> Any:
    """Import what needs torch and MONAI when it is asked for: `import zoo` is quick."""
    if name in ("Registration", "register"):
        from zoo import api

        return getattr(api, name)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")
