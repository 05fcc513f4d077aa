"""Worlds to analyze; written once, only read."""

from __future__ import annotations

import pytest

from tests.analysis.worlds import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A finished run of three blocks with a network, full evidence, and channel 5 of each input loud."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def plain_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A finished run without a network, light evidence, and no loud channel, whose masks are Wanda's."""
    return make_world(
        tmp_path_factory.mktemp("plain"), seed=1, loud=(), full=False, network=False, masks="wanda"
    )


@pytest.fixture(scope="session")
def half_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A run that ended after two of three blocks."""
    return make_world(tmp_path_factory.mktemp("half"), decided=2, finish=False)
