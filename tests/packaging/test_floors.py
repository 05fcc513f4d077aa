"""The floors of the house: who may import what, in the source and when it runs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hyperprune_lab"
PICTURES = {"matplotlib", "plotly", "ipywidgets", "anywidget", "IPython", "jupyterlab", "traitlets"}
NUMERICS = {"torch", "transformers"}
GROUND = [
    *("calibration", "demo", "evaluate", "hypernet", "methods", "models", "pipeline"),
    *("patterns.py", "events.py", "errors.py", "extras.py", "folders.py"),
]
RECORD_WRITER = [f"record/{name}.py" for name in ("__init__", "writer", "store", "verify", "resume", "lock")]
FORBIDDEN = {
    **{place: PICTURES | {"pandas"} for place in [*GROUND, *RECORD_WRITER, "cli"]},
    "record": NUMERICS | PICTURES,
    "analysis": NUMERICS | PICTURES,
    "views": NUMERICS | {"ipywidgets", "anywidget"},
    "widgets": NUMERICS,
    **dict.fromkeys(("shelf.py", "runs.py"), NUMERICS | PICTURES),
}


def imports(file: Path) -> Iterator[str]:
    """The top-level packages that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def files(place: str) -> list[Path]:
    path = PACKAGE / place
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("place", [place for place in FORBIDDEN if (PACKAGE / place).exists()])
def test_no_file_imports_what_its_floor_must_not_know(place):
    found = {str(file): FORBIDDEN[place] & set(imports(file)) for file in files(place)}
    assert {file: names for file, names in found.items() if names} == {}


def modules(*places: str) -> list[str]:
    names = []
    for place in places:
        for file in files(place):
            parts = file.relative_to(ROOT).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def imports_without(blocked: set[str], wanted: list[str]) -> None:
    """Import ``wanted`` in a fresh interpreter in which ``blocked`` packages do not exist."""
    code = (
        "import sys, importlib\n"
        f"sys.modules.update(dict.fromkeys({sorted(blocked)!r}))\n"
        f"for name in {wanted!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_server_without_any_picture_package_prunes_and_records():
    without_start = [name for name in modules("cli") if ".jupyter." not in name]
    imports_without(PICTURES | {"pandas", "pyarrow"}, [*modules(*GROUND, *RECORD_WRITER), *without_start])


def test_a_laptop_without_torch_reads_records():
    readable = [
        place for place in ("record", "analysis", "views", "patterns.py") if (PACKAGE / place).exists()
    ]
    imports_without(NUMERICS | {"safetensors.torch"}, [*modules(*readable), "hyperprune_lab.cli"])


def test_whoever_only_follows_runs_in_processes_of_their_own_need_not_wait_for_torch():
    following = ["compare", "config", "launch", "process", "wire"]
    imports_without(NUMERICS, [f"hyperprune_lab.pipeline.{name}" for name in following])


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, hyperprune_lab\n"
        f"heavy = {sorted(PICTURES | NUMERICS | {'pandas', 'numpy'})!r}\n"
        "sys.exit(', '.join(name for name in heavy if name in sys.modules) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE))
)
def test_a_file_says_what_it_is_for_and_stays_small(file):
    text = file.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "the first docstring line says the job"
    assert len(text.splitlines()) <= 500
