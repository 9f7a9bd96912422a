"""Lines of Markdown tables."""

from benchmarks.harness.tables import heading, row


def test_a_table_has_as_many_columns_in_each_line():
    assert heading(["pair"], ["s", "MiB"]) == "| pair | s | MiB |\n|---|---:|---:|"
    assert row(["a", "1", "2"]) == "| a | 1 | 2 |"
