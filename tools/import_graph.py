"""Print which folder of zoo/ imports from which, one line per folder, from the ground up.

    python tools/import_graph.py

The order is that of the layout table in CONTRIBUTING.md, where the output is kept; a test compares
the two.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IGNORED = {"errors"}
"""Every folder imports these; they are left out of the graph."""


def layers() -> list[str]:
    """Return the folders and modules of the layout table in CONTRIBUTING.md, in its order."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `zoo/(\w+)(?:\.py|/)` \|", text, re.MULTILINE)


def imported_modules(path: Path) -> Iterator[str]:
    """Yield the modules of zoo that a file imports, at the top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("zoo."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zoo."):
            yield str(node.module)


def import_graph() -> dict[str, list[str]]:
    """Return for each layer the layers that it imports from, both in the order of the table."""
    order = layers()
    graph: dict[str, list[str]] = {}
    for layer in order:
        folder, module = ROOT / "zoo" / layer, ROOT / "zoo" / f"{layer}.py"
        files = sorted(folder.rglob("*.py")) if folder.is_dir() else [module]
        names = {name.split(".")[1] for file in files for name in imported_modules(file)}
        graph[layer] = [name for name in order if name in names - {layer} - IGNORED]
    return graph


def graph_text() -> str:
    """Return the graph as text, one line per layer."""
    graph = {name: found for name, found in import_graph().items() if name not in IGNORED}
    width = max(map(len, graph))
    return "\n".join(
        f"{name:<{width}} -> {', '.join(found) or 'nothing'}" for name, found in graph.items()
    )


if __name__ == "__main__":
    print(graph_text())
