"""What is optional: the extras of the installation, and what to say where one is missing.

Knows nothing about what the packages are good for.
"""

from __future__ import annotations

from importlib.util import find_spec

from hyperprune_lab.errors import UserError

EXTRA_OF = {
    **dict.fromkeys(("torch", "transformers"), "prune"),
    **dict.fromkeys(("anywidget", "jupyterlab", "matplotlib", "pandas", "plotly", "pyarrow"), "ui"),
}
"""The extra that brings a package, by the name under which it is imported."""


def missing(package: str) -> UserError:
    """What to raise where ``package`` is needed and is not installed."""
    extra = EXTRA_OF.get(package)
    by_hand = f'pip install -e ".[{extra}]"' if extra else f"pip install {package}"
    return UserError(f"This needs {package}, which is not installed here: run `make setup`, or `{by_hand}`.")


def need(*packages: str) -> None:
    """Raise ``UserError`` for the first of these packages that is not installed; none is imported."""
    for package in packages:
        if find_spec(package) is None:
            raise missing(package)
