"""The interactive viewer of a report: the volumes that it shows, and its parts for a page.

`modules/` holds the viewer as ES modules, `vendor/` the library NiiVue that draws the slices.
"""

from zoo.reporting.viewer.assets import import_map, library, style
from zoo.reporting.viewer.document import viewer_document

__all__ = ["import_map", "library", "style", "viewer_document"]
