"""regzoo: universal 3-D medical image registration that configures itself."""

from zoo.errors import UserError

__version__ = "0.1.0"

__all__ = ["UserError", "__version__"]
