"""What a user may ask for, and what is needed for it."""

import sys
from pathlib import Path

import pytest

from zoo import UserError
from zoo.cohorts.distribution import Distribution, require_dask


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "--workers 0 must be 1 or more, or auto"),
        ({"scheduler": "tcp://a:1", "workers": 2}, "leave out --workers and --cluster"),
        ({"scheduler": "tcp://a:1", "cluster": "slurm"}, "leave out --workers and --cluster"),
        ({"cluster": "pbs", "cluster_config": Path("a")}, "--cluster 'pbs' is not known"),
        ({"cluster": "slurm"}, "belong together"),
        ({"cluster_config": Path("a")}, "belong together"),
        ({"cluster": "slurm", "cluster_config": Path("a"), "workers": "auto"}, "number of Slurm"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Distribution(**options)


def test_only_one_process_on_this_machine_works_without_dask():
    assert Distribution().in_process
    assert Distribution("1").in_process
    assert not Distribution("auto").in_process
    assert not Distribution(2).remote
    assert Distribution(scheduler="tcp://a:1").remote
    assert not Distribution(scheduler="tcp://a:1").in_process


@pytest.mark.parametrize("missing", ["distributed", "cryptography"])
def test_without_dask_the_error_names_the_extra(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=rf"{missing} is not installed.*'regzoo\[cluster\]'"):
        require_dask()
