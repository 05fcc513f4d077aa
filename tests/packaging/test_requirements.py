"""One set of requirements in three files: pyproject.toml, environment.yml, constraints.txt.

That conda-forge has the Python that environment.yml asks for is not proved here: there is no index offline.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from hyperprune_lab.extras import EXTRA_OF

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())


def declared() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def pins() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in requirements}


def conda_half() -> list[str]:
    return [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]


def pip_half() -> list[str]:
    (inner,) = [entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)]
    return inner


def test_the_environment_asks_for_what_the_project_asks_for():
    listed = [Requirement(line) for line in pip_half() if not line.startswith("-")]
    assert {str(requirement) for requirement in listed} == {str(requirement) for requirement in declared()}
    assert len(listed) == len(declared())


def test_the_environment_pins_and_installs_the_checkout():
    assert [line for line in pip_half() if line.startswith("-")] == ["-c constraints.txt", "-e ."]


def test_the_environment_is_one_that_conda_can_read():
    assert set(ENVIRONMENT) == {"name", "channels", "dependencies"}
    assert ENVIRONMENT["channels"] == ["conda-forge"]
    assert [entry.partition(">")[0] for entry in conda_half()] == ["python", "pip"]
    rattler = pytest.importorskip("rattler", reason="py-rattler is not installed")
    for entry in conda_half():
        rattler.MatchSpec(entry)


def test_the_python_of_the_environment_is_one_that_the_project_supports():
    wanted = SpecifierSet(conda_half()[0].removeprefix("python"))
    supported = SpecifierSet(PROJECT["requires-python"])
    offered = [f"3.{minor}" for minor in range(6, 20) if f"3.{minor}" in wanted]
    assert offered
    assert all(version in supported for version in offered)


def test_everything_is_pinned_exactly_and_within_bounds():
    pinned = pins()
    for pin in pinned.values():
        ((operator, version),) = [(part.operator, part.version) for part in pin.specifier]
        assert operator == "=="
        assert not Version(version).local, f"{pin}: a build of one machine only"
    for requirement in declared():
        (specifier,) = pinned[canonicalize_name(requirement.name)].specifier
        assert specifier.version in requirement.specifier, requirement


@pytest.mark.parametrize(
    "name",
    [
        "torch",
        "transformers",
        "jupyterlab",
        "ipywidgets",
        "matplotlib",
        "plotly",
        "pandas",
        "pytest",
        "nbval",
    ],
)
def test_what_the_course_needs_stands_in_the_environment(name):
    assert name in {Requirement(line).name for line in pip_half() if not line.startswith("-")}


def test_the_core_needs_no_package_for_pictures_or_tables():
    core = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert core.isdisjoint({"pandas", "matplotlib", "plotly", "ipywidgets", "anywidget", "jupyterlab"})


def test_a_machine_on_which_records_are_only_read_installs_no_torch():
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["ui"]]
    assert {Requirement(line).name for line in wanted}.isdisjoint({"torch", "transformers"})


def test_what_is_missing_is_told_by_the_extra_that_brings_it():
    for package, extra in EXTRA_OF.items():
        brought = {Requirement(line).name for line in PROJECT["optional-dependencies"][extra]}
        assert package in brought


def test_the_licence_is_the_one_that_is_named():
    text = (ROOT / PROJECT["license-files"][0]).read_text()
    assert PROJECT["license"] == "Apache-2.0"
    for landmark in ("Apache License", "Version 2.0, January 2004", "END OF TERMS AND CONDITIONS"):
        assert landmark in text
