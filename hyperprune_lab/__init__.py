"""HyperPrune Lab: see, understand and fix what happens when a language model is pruned to n:m sparsity."""

__version__ = "0.1.0"
