"""The exercises of the notebooks, one file a notebook.

Knows nothing about how they are shown. Reading ahead in here spoils the fun.
"""
