"""Evaluation of registrations: metrics, Learn2Reg figures, the verdict, comparison of runs."""

from zoo.evaluation.case_rows import case_row, evaluate_case
from zoo.evaluation.cases import (
    Case,
    case_of_result,
    cases_of_dataset,
    cases_of_run,
    cases_of_table,
)
from zoo.evaluation.comparison import compare_runs, ranking
from zoo.evaluation.documents import read_result, write_evaluation
from zoo.evaluation.figures import (
    COMPARED,
    FIGURE_KEYS,
    FIGURES,
    PREFERRED,
    RANKED,
    FigureSpec,
    key_figure,
)
from zoo.evaluation.learn2reg import learn2reg_figures
from zoo.evaluation.learn2reg_names import find_learn2reg_field, learn2reg_name
from zoo.evaluation.metrics import Measured, measure
from zoo.evaluation.quality import Verdict, judge
from zoo.evaluation.runs import Run, read_run
from zoo.evaluation.submission import write_submission
from zoo.evaluation.summary import evaluation, summarise_figures

__all__ = [
    "COMPARED",
    "FIGURES",
    "FIGURE_KEYS",
    "PREFERRED",
    "RANKED",
    "Case",
    "FigureSpec",
    "Measured",
    "Run",
    "Verdict",
    "case_of_result",
    "case_row",
    "cases_of_dataset",
    "cases_of_run",
    "cases_of_table",
    "compare_runs",
    "evaluate_case",
    "evaluation",
    "find_learn2reg_field",
    "judge",
    "key_figure",
    "learn2reg_figures",
    "learn2reg_name",
    "measure",
    "ranking",
    "read_result",
    "read_run",
    "summarise_figures",
    "write_evaluation",
    "write_submission",
]
