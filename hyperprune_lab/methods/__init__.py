"""Pruning methods behind one interface: a block's weights and statistics in, masks (and perhaps weights) out.

Knows nothing about models, devices, files or pictures; the pipeline applies what a method decides.
"""
