"""Files that the readers must refuse.

`BAD_FILES[name].make(folder)` creates the file and returns its path; `kind` is the reader it is
for, and `pattern` matches the error.
"""

from support.bad_files import points, transforms, volumes
from support.bad_files.table import BAD_FILES, good_image, save

__all__ = ["BAD_FILES", "good_image", "points", "save", "transforms", "volumes"]
