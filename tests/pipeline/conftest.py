"""What the pipeline's tests share: one workshop of tiny models and texts, and budgets of a few steps."""

from __future__ import annotations

from collections.abc import Iterator

import jaxtyping
import pytest

from .tiny import Workshop, learn_fast, shrink


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Tiny models, made when first asked for."""
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def quick() -> Iterator[None]:
    """Budgets of a few steps."""
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        yield


@pytest.fixture
def learning(quick: None) -> Iterator[None]:
    """As ``quick``, with a network that learns so fast that masks depend on every step that it takes.

    Shapes are checked elsewhere: without that, runs that are compared bit for bit take half the time.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    with pytest.MonkeyPatch.context() as patch:
        learn_fast(patch)
        yield
    jaxtyping.config.update("jaxtyping_disable", False)
