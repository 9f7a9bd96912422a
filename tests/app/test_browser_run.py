"""The pairs of a run in headless Chromium: the table, its filters, a live run, one pair."""

import json
import shutil

import pytest
from support.app_process import running_app
from support.browser import Visit, browser, serious_faults
from support.run_cases import finished_run

from zoo.io.atomic import write_json

pytestmark = pytest.mark.usefixtures("symmetry_without_search")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("cohort"))


@pytest.mark.slow
def test_a_live_run_fills_the_table_and_a_pair_opens_in_the_viewer(run, tmp_path):
    live = tmp_path / "live"
    live.mkdir()
    shutil.copy(run / "plan.json", live)
    with running_app("--run", live) as app, browser() as chromium:
        visit = Visit(chromium, app.address)
        page = visit.page
        page.get_by_text("0 of 3 pairs are registered").wait_for()
        assert page.locator(".run tbody tr").count() == 0

        shutil.copytree(run / "a1_a2", live / "a1_a2")
        link = page.get_by_role("link", name="a1_a2")
        link.wait_for()
        link.focus()
        worse = json.loads((run / "b1_b2" / "result.json").read_text())
        worse |= {"quality": "failed", "warnings": ["<i>It</i> folds."]}
        write_json(run / "b1_b2" / "result.json", worse)
        for name in ("b1_b2", "c1_c2"):
            shutil.copytree(run / name, live / name)
        page.get_by_text("2 of 3 pairs are registered").wait_for()
        page.get_by_text("c1 is damaged").wait_for()
        names = page.locator(".run tbody th").all_inner_texts()
        assert [name.strip() for name in names] == ["c1_c2", "b1_b2", "a1_a2"]
        assert page.evaluate("document.activeElement.textContent") == "a1_a2"
        assert "<i>It</i> folds." in page.locator(".run").inner_text()
        page.wait_for_function("() => [...document.images].every((one) => one.naturalWidth > 100)")
        assert serious_faults(page) == []

        shown = page.locator(".run tbody tr:visible")
        page.get_by_label("Quality").select_option("failed")
        assert shown.count() == 1
        page.get_by_label("Quality").select_option("")
        page.get_by_label("Name contains").fill("A1")
        assert shown.count() == 1
        link.click()
        page.wait_for_selector("#viewer[data-state=open]")
        assert page.locator("[data-quality]").count() == 1
        page.go_back()
        page.wait_for_selector(".run tbody tr")
        assert visit.messages == []
