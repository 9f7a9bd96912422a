"""Reports: planes through the images, panels of pictures, the HTML pages and their templates."""

from zoo.reporting.canvas import Pixels, png_bytes
from zoo.reporting.comparison_plot import draw_comparison
from zoo.reporting.contact_sheet import contact_sheet
from zoo.reporting.demo import DemoRow, write_demo_report
from zoo.reporting.pages import render
from zoo.reporting.panels import Panel, Strip, draw_panels
from zoo.reporting.report import write_report
from zoo.reporting.tables import tiles
from zoo.reporting.thumbnail import write_thumbnail

__all__ = [
    "DemoRow",
    "Panel",
    "Pixels",
    "Strip",
    "contact_sheet",
    "draw_comparison",
    "draw_panels",
    "png_bytes",
    "render",
    "tiles",
    "write_demo_report",
    "write_report",
    "write_thumbnail",
]
