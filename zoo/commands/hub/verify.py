"""`regzoo verify`: check the weights on disk."""

from __future__ import annotations


def verify() -> int:
    """Check the size, header and sha256 of every weights file on this computer.

    The exit code is 1 if a file is missing or changed.

    Examples:
        regzoo verify
    """
    from zoo.hub.weights import verify_all

    checks = verify_all()
    for check in checks:
        note = "" if check.verified else " (unverified: the catalogue has no sha256)"
        print(f"{check.weights}: {check.problem or 'good'}{note}: {check.path}")
    if not checks:
        print("there are no weights on this computer; `regzoo models` lists those available")
    return 1 if any(check.problem for check in checks) else 0
