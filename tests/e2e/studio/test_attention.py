"""Where a chunk looked, as bars beside what is remembered."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.studio.directing import SHOTS, begin, tell
from tests.e2e.studio.looking import findings, look

pytestmark = pytest.mark.system


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_where_a_chunk_looks_is_shown_frame_by_frame(open_page, width: int, height: int) -> None:
    page = open_page(width, height)
    begin(page)
    tell(page, *SHOTS[:2])
    page.get_by_role("button", name="Where does it look?").click()
    bars = page.locator(".attention .share")
    expect(bars.last).to_contain_text("This shot")
    assert bars.count() == 7, "six remembered frames and the shot"
    shares = [float(bar.inner_text().split()[-2]) for bar in bars.all()]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    page.get_by_label("Layer").select_option("1")
    by_layer = [float(bar.inner_text().split()[-2]) for bar in bars.all()]
    assert by_layer != shares
    bars.last.scroll_into_view_if_needed()
    look(page, f"attention {width}")
    assert findings(page) == []
    page.get_by_role("button", name="No longer show where it looks").click()
    expect(bars).to_have_count(0)
