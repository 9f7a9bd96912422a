"""The imports between the folders of zoo/ follow the layout in CONTRIBUTING.md."""

from pathlib import Path

import pytest
from import_graph import graph_text, imported_modules, layers

import zoo

PACKAGE = Path(zoo.__file__).parent
LAYERS = layers()
MOST_MODULES = 16
MOST_LINES = 300


def layer(module):
    """Return the layer of "zoo.io.volume": io; of "zoo.errors": errors; of "zoo": None."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else None


def test_the_layout_table_shows_every_folder():
    folders = {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(LAYERS)


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.glob("*/**/*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_a_module_imports_only_from_its_own_layer_and_those_above(path):
    own = LAYERS.index(path.relative_to(PACKAGE).parts[0])
    for module in imported_modules(path):
        found = layer(module)
        assert found is None or LAYERS.index(found) <= own, f"{module} lies below"


@pytest.mark.parametrize(
    "folder", sorted(p.parent for p in PACKAGE.rglob("*/__init__.py")), ids=lambda p: p.name
)
def test_a_folder_holds_few_modules(folder):
    assert sum(p.name != "__init__.py" for p in folder.glob("*.py")) <= MOST_MODULES


def test_a_long_module_says_why_it_is_not_split():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > MOST_LINES:
            docstring = text.split('"""')[1]
            assert "not split" in docstring, f"{path}: {len(text.splitlines())} lines"


def test_contributing_shows_the_import_graph():
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert graph_text() in page, "run python tools/import_graph.py and update CONTRIBUTING.md"
