"""Values as the browser can take them: no NaN, no numpy, no text that is not Unicode.

Knows nothing about what they mean.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """JSON-able: NaN and infinities are None, numpy's numbers and arrays plain, half surrogates replaced."""
    match value:
        case None | bool():
            return value
        case str():
            return value.encode("utf-8", "replace").decode("utf-8") if not value.isascii() else value
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else None
        case np.generic() | np.ndarray():
            return plain(value.tolist())
        case dict():
            return {plain(str(key)): plain(entry) for key, entry in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(entry) for entry in value]
    raise TypeError(f"{type(value).__name__} cannot be sent to the browser")
