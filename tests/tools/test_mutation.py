import json
from pathlib import Path

import mutation
import pytest

ROOT = Path(__file__).resolve().parents[2]


def line(operator, outcome, *, worker="normal", row=3, diff=""):
    """Return a line of `cosmic-ray dump`."""
    item = {"mutations": [{"operator_name": operator, "start_pos": [row, 0]}]}
    result = {"worker_outcome": worker, "test_outcome": outcome, "diff": diff}
    return json.dumps([item, result])


def test_the_score_counts_what_was_tried_and_shows_the_survivors():
    dump = "\n".join(
        [
            line("core/NumberReplacer", "killed"),
            line("core/ReplaceBinaryOperator_Add_Sub", "survived", row=7,
                 diff="--- a\n+++ b\n@@ -7 +7 @@\n-    return a + b\n+    return a - b\n c"),
            line("core/ReplaceBinaryOperator_BitOr_Add", None, worker="skipped"),
            line("core/AddNot", "incompetent"),
            json.dumps([{"mutations": []}, None]),
        ]
    )  # fmt: skip
    text = mutation.report("zoo/a.py", mutation.mutants(dump), 5)
    assert text.splitlines() == [
        "zoo/a.py: 2 of 3 mutants killed (67 %), 5 s",
        "",
        "line 7, core/ReplaceBinaryOperator_Add_Sub",
        "-    return a + b",
        "+    return a - b",
    ]


@pytest.mark.parametrize(
    ("module", "tests"),
    [
        ("zoo/geometry/orientation.py", "tests/geometry/test_orientation.py"),
        ("zoo/io/itk/tfm.py", "tests/io/itk/test_tfm.py"),
        ("zoo/io/itk/header_text.py", "tests/io/itk"),
    ],
)
def test_the_tests_of_a_module_mirror_it(module, tests):
    assert mutation.mirrored_tests(module) == tests
    assert (ROOT / tests).exists()
