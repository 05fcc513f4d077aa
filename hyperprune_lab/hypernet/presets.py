"""The names of HyperPrune's presets, for whoever only asks which there are.

Knows nothing about what they mean: that stands in ``settings``, which needs torch.
"""

PRESETS = ("paper", "released", "lab")
