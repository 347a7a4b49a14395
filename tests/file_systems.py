"""What file systems refuse."""

from __future__ import annotations

import errno


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")
