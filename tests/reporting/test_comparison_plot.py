import numpy as np
from PIL import Image
from support.comparison_cases import three_runs

from zoo.evaluation.comparison import compare_runs
from zoo.evaluation.runs import Run
from zoo.reporting.comparison_plot import draw_comparison


def test_the_picture_shows_boxes_and_the_time_only_where_it_is_known(tmp_path):
    runs = three_runs()
    draw_comparison(tmp_path / "c.png", runs, compare_runs(runs))
    with_time = np.asarray(Image.open(tmp_path / "c.png").convert("RGB"))
    assert with_time.std() > 20
    timeless = [Run(r.name, r.figures, {}) for r in runs]
    draw_comparison(tmp_path / "d.png", timeless, compare_runs(timeless))
    assert Image.open(tmp_path / "d.png").width < with_time.shape[1]
