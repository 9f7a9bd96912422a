"""One module per use case, holding a function that takes files and options and writes files.

The commands and the Python API call the same functions. They need torch and MONAI, so they are
imported from their modules; `zoo.pipelines` itself and the options of a registration are light.
"""

from zoo.pipelines.options import RegistrationOptions

__all__ = ["RegistrationOptions"]
