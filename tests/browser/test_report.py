"""The report as a person opens it: a file, no server, no kernel."""

from __future__ import annotations

import pytest

from hyperprune_lab.report.page import write_report
from tests.widgets.tinyrun import write_run

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

_STATE = "document.querySelector('[data-hp-view=\"map\"]')?.dataset.hpState"


def test_a_report_draws_and_answers_without_a_network(laboratory, tmp_path):
    run = write_run(tmp_path / "run")
    write_report(run, tmp_path / "report.html")
    with laboratory.file(tmp_path / "report.html") as (page, complaints):
        page.wait_for_function(f"{_STATE} === 'finished'")
        module = run.modules()["module"].iloc[4]
        page.locator(f'[data-hp-view="map"] [data-module="{module}"]').first.click()
        for name in ("map", "mask", "reconstruction"):
            page.wait_for_function(
                '([name, wanted]) => document.querySelector(`[data-hp-view="${name}"]`)?.dataset.hpSelection'
                "?.includes(wanted)",
                arg=[name, module],
            )
        assert complaints == []
