"""The answer to a request that is refused: a sentence and a status code of HTTP."""

from __future__ import annotations

from zoo.errors import UserError


class RequestError(UserError):
    """A request that the server refuses; `status` is the code of the answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
