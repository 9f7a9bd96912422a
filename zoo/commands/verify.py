"""`regzoo verify`: check again what is on disk."""

from __future__ import annotations


def verify() -> int:
    """Check every weights file on this computer again: size, header, sha256.

    Exits with 1 if a file is gone or changed.

    Examples:
        regzoo verify
    """
    from zoo.hub.weights import verify_all

    checks = verify_all()
    for check in checks:
        note = "" if check.verified else " (unverified: no sha256 in the catalogue yet)"
        print(f"{check.weights}: {check.problem or 'good'}{note}: {check.path}")
    if not checks:
        print("no weights on this computer; `regzoo models` lists what there is")
    return 1 if any(check.problem for check in checks) else 0
