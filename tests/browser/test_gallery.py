"""What a person sees of every view can be read: nothing clipped, overlapping, too small or too faint."""

from __future__ import annotations

import pytest

from .gallery import STATES, VIEWS, faults_of, pictures

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_can_be_read(laboratory, view, state):
    drawn = list(pictures(laboratory.browser, view, state))
    assert len(drawn) == 4
    assert {picture.name: picture.faults for picture in drawn if picture.faults} == {}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<p style="font-size:10px">tiny</p>', "text of 10px: tiny"),
        ('<p style="color:#999">faint</p>', "contrast 2.8: faint"),
        ('<p style="width:40px;overflow:hidden;white-space:nowrap">cut in two</p>', "clipped: cut in two"),
        ('<p style="position:relative;left:-60px">beside</p>', "outside the view: beside"),
        ('<svg width="140" height="30"><text x="60" y="20">long</text></svg>', None),
        ('<svg width="80" height="30"><text x="60" y="20">long</text></svg>', "cut by its picture: long"),
        (
            '<svg width="90" height="30"><text y="20">one</text><text y="22" x="8">two</text></svg>',
            'over "one": two',
        ),
        ('<div style="width:2000px">wide</div>', "the page scrolls sideways"),
    ],
)
def test_what_cannot_be_read_is_found(laboratory, body, fault):
    page = laboratory.browser.new_page(viewport={"width": 400, "height": 300})
    page.set_content(
        f'<!doctype html><div id="root" style="background:#fff;color:#000;width:300px">{body}</div>'
    )
    found = faults_of(page.locator("#root"))
    page.close()
    assert found == [] if fault is None else any(one.startswith(fault) for one in found)
