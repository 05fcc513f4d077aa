"""The checker behind the shape annotations: beartype, where an int is good for a float, as it is for mypy.

Knows nothing about the package; pyproject.toml names `check` in pytest's options.
"""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
