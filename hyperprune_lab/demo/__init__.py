"""The embedded demonstration: a small world, the stories told in it, and the model that learned to read them.

Knows nothing of pruning.
"""
