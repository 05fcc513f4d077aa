"""What all tests share: the type and shape checks that pyproject.toml switches on, and the way around them.

Knows nothing of any one area; it must not import the package, which the checks could then no longer reach.
"""

from __future__ import annotations

from collections.abc import Iterator

import jaxtyping
import pytest


@pytest.fixture(autouse=True)
def _unchecked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Under ``@pytest.mark.unchecked`` wrong types and shapes reach the package as they do outside tests."""
    if request.node.get_closest_marker("unchecked") is None:
        yield
        return
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
