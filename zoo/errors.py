"""The one exception for what a user can mend."""


class UserError(Exception):
    """A problem the user can mend; the command prints its text as one line and exits with 2.

    The text quotes the bad value and the file, says what is allowed and what to do. `code` names
    the kind of problem for programs, such as "truncated"; it does not change when the text does.
    """

    def __init__(self, text: str, *, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code
