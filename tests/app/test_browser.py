"""The app in headless Chromium: the journey of two scans, and what goes wrong on the way."""

import base64
import json
import re

import numpy as np
import pytest
from support.app_process import running_app
from support.browser import Visit, browser, serious_faults
from support.grid_cases import ORIENTATIONS
from support.report_cases import SMALL, on_disk

from zoo.synthesis.phantom import make_pair, placed_grid

SLOW = 120_000  # milliseconds; a registration on a busy machine takes its time
DROP = """
([element, files]) => {
  const transfer = new DataTransfer();
  for (const [name, text] of files) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  element.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return on_disk(tmp_path_factory.mktemp("pair"), make_pair(3, **SMALL))


@pytest.fixture(scope="module")
def data(files):
    """The folder of the pair, with a pairs.csv."""
    folder = files["fixed"].parent
    (folder / "pairs.csv").write_text("fixed,moving\nfixed.nii.gz,moving.nii.gz\n")
    return folder


@pytest.fixture(scope="module")
def app(data):
    with running_app("--data", data) as running:
        yield running


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture
def context(chromium, app):
    """A browser session that knows the token; its pages are tabs."""
    opened = chromium.new_context(viewport={"width": 1200, "height": 900})
    opened.set_default_timeout(SLOW)
    opened.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.root)
    opened.request.get(app.address)
    yield opened
    opened.close()


def choose_pair(visit):
    visit.page.get_by_label("Try a pair of the data folder").select_option(index=1)
    visit.page.wait_for_selector(".plan[data-state=planned]")


def register(visit):
    """Press the button and return the id of the job."""
    visit.page.get_by_role("button", name="Register").click()
    visit.page.wait_for_url("**/#/jobs/*")
    return visit.page.url.rpartition("/")[2]


def downloaded(visit, press):
    with visit.page.expect_download() as waiting:
        press()
    return waiting.value


@pytest.mark.slow
def test_the_journey_of_two_scans(context, app, files, tmp_path):
    visit = Visit(context, app.root)
    page = visit.page
    page.wait_for_selector(".slot")
    assert serious_faults(page) == []

    # Two files that are dropped at once are the fixed and the moving image.
    texts = [(files[side].name, to_base64(files[side])) for side in ("fixed", "moving")]
    target = page.get_by_role("region", name="Fixed image", exact=True)
    page.evaluate(DROP, [target.element_handle(), texts])
    page.wait_for_selector(".preview[data-drawn] >> nth=1")
    shape = " x ".join(map(str, SMALL["shape"]))
    assert shape in target.locator(".facts").inner_text()

    # The cursors are at the same place, and follow each other.
    places = lambda: [  # noqa: E731
        [float(mm) for mm in text.partition(" mm")[0].split(", ")]
        for text in page.locator(".preview .readout").all_inner_texts()
    ]
    before = places()
    page.get_by_label("Slices of fixed.nii.gz").focus()
    for _ in range(4):
        page.keyboard.press("ArrowUp")
    page.wait_for_function(
        "(z) => document.querySelectorAll('.preview .readout')[1].textContent.split(', ')[2] !== z",
        arg=page.locator(".preview .readout").nth(1).inner_text().split(", ")[2],
    )
    after = places()
    assert after[0] != before[0]
    assert after[0] == pytest.approx(after[1], abs=3.0)  # a voxel

    # Labels measure the result. A corrected fact changes the plan at once.
    page.get_by_text("Labels, masks and landmarks").click()
    for side in ("fixed", "moving"):
        slot = page.get_by_role("region", name=f"Labels of the {side} image")
        slot.locator("input[type=file]").set_input_files(files[f"{side}_labels"])
        slot.get_by_text(re.compile(r"\d+ labels?")).wait_for()
    page.wait_for_selector(".plan[data-state=planned]")
    page.get_by_label("Effort").select_option("fast")
    page.get_by_text("effort fast").first.wait_for()
    page.wait_for_selector(".plan[data-state=planned]")
    assert serious_faults(page) == []

    # A reload finds all of it again.
    page.reload()
    page.wait_for_selector(".plan[data-state=planned]")
    assert page.get_by_label("Effort").input_value() == "fast"
    assert page.locator(".slot b").all_inner_texts()[:2] == ["fixed.nii.gz", "moving.nii.gz"]
    job = register(visit)

    # A reload in the middle finds the job, and its result follows.
    page.reload()
    page.wait_for_selector("#viewer[data-state=open]")
    assert page.locator("[data-quality]").get_attribute("data-quality") == "ok"
    assert serious_faults(page) == []
    result = json.loads(
        downloaded(visit, page.get_by_role("link", name="settings and versions").click)
        .path()
        .read_text()
    )
    dice = result["figures"]["dice_after"]
    assert dice > result["figures"]["dice_before"]
    assert f"{dice:.3f}" in page.locator(".tiles").inner_text()
    page.get_by_label("Axial, coronal and sagittal").focus()
    page.keyboard.press("b")
    page.wait_for_selector("#viewer[data-shown=moving]")
    page.keyboard.press("b")

    # The transform in another format, and the same as a command and in Python.
    page.get_by_label("Format of the transform").select_option("itk-hdf5")
    transform = downloaded(visit, page.get_by_role("link", name="Download the transform").click)
    assert transform.suggested_filename.endswith(".h5")
    assert transform.path().read_bytes()[:8] == b"\x89HDF\r\n\x1a\n"
    page.get_by_role("button", name="Copy: As a command").click()
    page.get_by_text("Copied", exact=True).wait_for()
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.startswith("regzoo register fixed.nii.gz moving.nii.gz --out result")
    assert "--effort fast" in command
    assert "import zoo" in page.get_by_label("In Python", exact=True).inner_text()

    # A phone shows it without overflow. Nothing came from elsewhere, and nothing was complained.
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert all(url.startswith((app.root, "data:", "blob:")) for url in visit.requests)
    assert visit.messages == []
    assert job in page.url


def test_a_wrong_file_is_refused_in_words_and_a_name_stays_text(context, app, tmp_path):
    visit = Visit(context, app.root)
    wrong = tmp_path / "<b>notes.nii.gz"
    wrong.write_text("no image")
    slot = visit.page.get_by_role("region", name="Moving image", exact=True)
    slot.locator("input[type=file]").first.set_input_files(wrong)
    sentence = slot.get_by_role("alert")
    sentence.wait_for()
    assert "<b>notes" in sentence.inner_text()
    assert slot.locator("b").count() == 0
    plain = tmp_path / "notes.nii.gz"
    plain.write_text("no image")
    slot.locator("input[type=file]").first.set_input_files(plain)
    visit.page.get_by_text("notes.nii.gz").first.wait_for()
    slot.get_by_role("alert").wait_for()
    assert "Traceback" not in slot.inner_text()
    assert visit.page.get_by_role("button", name="Register").is_disabled()


@pytest.mark.slow
def test_two_tabs_see_a_job_and_one_cancels_it(context, app):
    first = Visit(context, app.root)
    choose_pair(first)
    register(first)
    second = Visit(context, app.root)
    second.page.locator(".queue summary").click()
    second.page.get_by_role("button", name="Cancel moving").first.click()
    for tab in (first, second):
        tab.page.locator(".queue summary").wait_for()
    first.page.get_by_text("The job was cancelled").wait_for()
    first.page.reload()
    first.page.get_by_text("The job was cancelled").wait_for()
    assert app.workers() == []
    first.page.get_by_role("link", name="register again").click()
    first.page.wait_for_selector(".plan[data-state=planned]")
    assert first.messages == second.messages == []


@pytest.mark.slow
def test_the_server_survives_a_killed_worker(context, app):
    visit = Visit(context, app.root)
    choose_pair(visit)
    register(visit)
    while not (workers := app.workers()):
        visit.page.wait_for_timeout(50)
    workers[0].kill()
    sentence = visit.page.locator("main").get_by_role("alert")
    sentence.wait_for()
    assert "memory" in sentence.inner_text()
    visit.page.get_by_role("link", name="register again").click()
    visit.page.wait_for_selector(".plan[data-state=planned]")


def to_base64(path):
    return base64.b64encode(path.read_bytes()).decode()


def test_linked_places_are_those_of_the_affines(context, app):
    visit = Visit(context, app.root)
    call = """async ([affine, shape, place, moved]) => {
      const { toIndex, overlap } = await import("/page/preview.js");
      const first = { affine, shape };
      const second = { affine: moved, shape };
      return [toIndex(first, place), overlap(first, first), overlap(first, second)];
    }"""
    place, far = [11.0, -7.5, 23.0], np.eye(4)
    far[:3, 3] = 1000
    for orientation in ORIENTATIONS.values():  # oblique, anisotropic and flipped
        grid = placed_grid((23, 30, 19), (1.5, 1.0, 2.6), **orientation)
        affine = grid.affine.numpy()
        arguments = [affine.tolist(), list(grid.shape), place, (far @ affine).tolist()]
        index, same, apart = visit.page.evaluate(call, arguments)
        assert index == pytest.approx((np.linalg.inv(affine) @ [*place, 1])[:3], abs=1e-9)
        assert (same, apart) == (1, 0)


def test_a_request_survives_its_address(context, app):
    visit = Visit(context, app.root)
    request = {"fixed": "a b", "moving": "c&d", "modality": {"1": "mr"}, "volume": 0}
    call = """async (request) => {
      const { addressOf, requestOf } = await import("/page/draft.js");
      return requestOf(new URLSearchParams(addressOf(request).split("?")[1]));
    }"""
    assert visit.page.evaluate(call, request | {"effort": "fast", "anatomy": None}) == (
        request | {"effort": "fast"}
    )
