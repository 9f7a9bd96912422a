"""The exception for problems that the user can correct."""


class UserError(Exception):
    """A problem that the user can correct; the command prints it as one line and exits with 2.

    The message quotes the bad value and the file, and says what is allowed and what to do. `code`
    names the kind of problem for programs, such as "truncated"; rewording the message keeps it.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code
