"""Running the command line inside the test process."""

from zoo import cli


def run(*words):
    """Run `regzoo` with words of any type, and return the exit code."""
    return cli.run([str(word) for word in words])


def refusal(capsys, *words):
    """Run `regzoo`, expect it to refuse with exit code 2, and return its one line of error."""
    capsys.readouterr()
    code = run(*words)
    error = capsys.readouterr().err
    assert code == 2, error
    assert error.count("\n") == 1, error
    assert error.startswith("regzoo: ")
    return error
