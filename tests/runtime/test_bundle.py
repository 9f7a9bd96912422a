"""Opening a bundle: unknown settings, quiet logging, and errors of its components."""

import logging
import warnings

import pytest

from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder
from zoo.runtime.bundle import open_bundle, quiet, user_errors


def test_an_unknown_setting_is_refused_with_the_nearest_name():
    bundle, message = bundle_folder("mcbo"), r"no setting 'fusions' \(did you mean fusion\?\)"
    with pytest.raises(UserError, match=message), open_bundle(bundle, {"fusions": "mean"}):
        pytest.fail("the workflow was opened")


def test_a_setting_inside_a_component_is_reached_by_its_path():
    overrides = {"network_def#fusion": "mean", "bar": False}
    with open_bundle(bundle_folder("mcbo"), overrides) as workflow:
        assert workflow.network_def.fusion == "mean"


def test_the_error_of_a_component_is_raised_as_itself():
    bundle, overrides = bundle_folder("mcbo"), {"format": "nii", "bar": False}
    message = "format 'nii' is not known; use one of nifti, h5, both"
    with pytest.raises(UserError, match=message), open_bundle(bundle, overrides) as workflow:
        workflow.run()


def test_other_errors_pass_unchanged():
    error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError) as raised, user_errors():
        raise error
    assert raised.value is error


def test_logging_and_warnings_are_as_before_afterwards():
    logger = logging.getLogger("monai")
    before = logger.level
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet():
            assert logging.getLogger("monai.engines").getEffectiveLevel() == logging.CRITICAL
            warnings.warn("inside", stacklevel=1)
        warnings.warn("after", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["after"]
    assert logger.level == before
