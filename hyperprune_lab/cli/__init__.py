"""The command line, `hyperprune-lab`: thin commands over the pipeline, the record and the models.

Knows nothing about numerics: it turns options into a configuration, events into progress, results into one
answer.
"""

from hyperprune_lab.cli.application import app, main

__all__ = ["app", "main"]
