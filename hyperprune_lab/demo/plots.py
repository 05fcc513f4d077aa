"""All small plots, in the order that seeds choose from.

Knows nothing of who fills the slots; `plots_form` describes them.
"""

from __future__ import annotations

from hyperprune_lab.demo.plots_home import HOME_PLOTS
from hyperprune_lab.demo.plots_stage import STAGE_PLOTS
from hyperprune_lab.demo.plots_town import TOWN_PLOTS
from hyperprune_lab.demo.plots_work import WORK_PLOTS

PLOTS = HOME_PLOTS + TOWN_PLOTS + WORK_PLOTS + STAGE_PLOTS
