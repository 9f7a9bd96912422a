"""The notebooks run from top to bottom, show what they promise, and are stored without outputs."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs").rglob("*.ipynb"))


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path):
    for cell in code_cells(nbformat.read(path, as_version=4)):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.slow
def test_the_tutorial_registers_a_pair_and_shows_it(tmp_path):
    (path,) = (path for path in NOTEBOOKS if path.stem == "registration")
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    shown = next(out.data for out in outputs if out.output_type == "execute_result")
    assert "data:image/jpeg;base64," in shown["text/html"]
    assert shown["text/plain"].startswith("<Registration: mcbo, quality ok, Dice")
    assert any("image/png" in out.get("data", {}) for out in outputs)
    printed = "".join(out.text for out in outputs if out.get("name") == "stdout")
    before, after = map(float, re.search(r"landmark error (\S+) mm -> (\S+) mm", printed).groups())
    assert after < 0.5 * before
    assert (tmp_path / "result" / "transform.nii.gz").is_file()
    assert "Learn2Reg 2024" in printed
    bars = "".join(out.text for out in outputs if out.get("name") == "stderr")
    assert "%" in bars or any("widget-view" in str(out.get("data")) for out in outputs)
