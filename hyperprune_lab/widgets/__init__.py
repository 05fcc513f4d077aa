"""Live views in a notebook: traits, JavaScript, one pump.

Knows no numerics and never imports torch: what a view shows comes from ``hyperprune_lab.views``.
"""
