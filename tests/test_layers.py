"""The import graph keeps to the layers of CONTRIBUTING.md."""

import ast
import re
from pathlib import Path

import pytest

import zoo

PACKAGE = Path(zoo.__file__).parent
LAYERS = re.findall(
    r"^\| `zoo/(\w+)(?:\.py|/)` \|", (PACKAGE.parent / "CONTRIBUTING.md").read_text(), re.MULTILINE
)


def layer(module):
    """Return the layer of "zoo.io.volume": io; of "zoo.errors": errors; of "zoo": None."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else None


def imports(path):
    """Return the modules of zoo that a file imports, for types only or inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("zoo"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zoo"):
            yield node.module


def test_the_picture_shows_every_folder():
    folders = {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(LAYERS)


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.glob("*/**/*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_a_module_imports_only_from_its_own_layer_and_those_above(path):
    own = LAYERS.index(path.relative_to(PACKAGE).parts[0])
    for module in imports(path):
        found = layer(module)
        assert found is None or LAYERS.index(found) <= own, f"{module} lies below"
