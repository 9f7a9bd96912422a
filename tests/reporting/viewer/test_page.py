"""The report with its viewer in headless Chromium: slices, views, keys, cursor, phone, fallback."""

import base64
import io

import nibabel
import numpy as np
import pytest
from PIL import Image
from support.browser import Visit, browser
from support.report_cases import NASTY, phantom_registration, result_of

from zoo.reporting import write_report

CANVAS = ".stage canvas"
NO_WEBGL = """
const context = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind === "webgl2" ? null : context.call(this, kind, ...rest);
};"""


@pytest.fixture(scope="module")
def registration():
    return phantom_registration()


@pytest.fixture(scope="module")
def report(registration, tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewer")
    write_report(registration, result_of(registration, moving=[f"data/{NASTY}"]), folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def started():
    with browser() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def visit(started, report):
    opened = Visit(started, report, viewport={"width": 760, "height": 700})
    opened.page.wait_for_selector("#viewer[data-state]")
    assert opened.page.get_attribute("#viewer", "data-state") == "open"
    return opened


def run(visit, script, draw=False):
    """Run a script in the page, draw the slices if asked for, and return the script's value."""
    then = "viewer.scene.nv.drawScene()" if draw else "null"
    return visit.page.evaluate(
        f"async () => {{ const out = await ({script}); {then}; return out; }}"
    )


def planes(visit):
    """Return the pixels of each plane as they are drawn now, 0 to 1, by name."""
    return view_and_planes(visit)[1]


def view_and_planes(visit):
    """Return which view is drawn now, and the pixels of each plane."""
    view, url, width, tiles = visit.page.evaluate(
        """() => {
          const { nv, canvas } = viewer.scene;
          nv.drawScene();
          const tiles = viewer.scene.tiles().map(({ plane, left, top, width, height }) =>
            [plane, left, top, width, height]);
          const { shown } = document.getElementById("viewer").dataset;
          return [shown, canvas.toDataURL(), canvas.width, tiles];
        }"""
    )
    picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
    return view, cut(np.asarray(picture) / 255, tiles, picture.width / width)


def cut(picture, tiles, scale):
    """Cut the planes out of a picture of the canvas."""
    out = {}
    for plane, *box in tiles:
        left, top, width, height = (round(value * scale) for value in box)
        out[plane] = picture[top : top + height, left : left + width]
    return out


def ras(volume):
    """Return an array with the axes nearest to RAS, by nibabel."""
    image = nibabel.Nifti1Image(volume.data.float().numpy(), volume.grid.affine.numpy())
    return nibabel.as_closest_canonical(image).get_fdata()


def seen(array, plane, index):
    """Return a slice as a radiologist sees it: right and anterior on the left, head or face up."""
    axis = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    return np.take(array, index, axis)[::-1, ::-1].T


def alike(expected, picture):
    """Return the correlation of a slice with what is on the screen."""
    grey = Image.fromarray((picture.mean(axis=2) * 255).astype(np.uint8))
    small = grey.resize(expected.shape[::-1], Image.Resampling.BOX)
    return np.corrcoef(expected.ravel(), np.asarray(small, float).ravel())[0, 1]


def test_all_planes_show_the_fixed_image_as_a_radiologist_sees_it(visit, registration, tmp_path):
    fixed = ras(registration.pair.fixed)
    run(visit, "viewer.change({view: 'fixed', landmarks: false})")
    index = [round(value) for value in visit.page.evaluate("viewer.scene.index")]
    tiles = visit.page.evaluate(
        "viewer.scene.tiles().map((t) => [t.plane, t.left, t.top, t.width, t.height])"
    )
    picture = visit.pixels(tmp_path, CANVAS) / 255  # of the screen, not of the canvas alone
    width = visit.page.evaluate("viewer.scene.canvas.width")
    shown = cut(picture, tiles, picture.shape[1] / width)
    assert set(shown) == {"axial", "coronal", "sagittal"}
    for plane, axis in (("axial", 2), ("coronal", 1), ("sagittal", 0)):
        expected = seen(fixed, plane, index[axis])
        assert alike(expected, shown[plane]) > 0.93
        assert alike(expected[:, ::-1], shown[plane]) < 0.9


def test_a_slider_and_the_arrow_keys_move_the_slice(visit, registration):
    fixed = ras(registration.pair.fixed)
    before = planes(visit)
    index = [round(value) for value in visit.page.evaluate("viewer.scene.index")]
    slider = visit.page.get_by_label("Axial").and_(visit.page.locator("input[type=range]"))
    slider.fill(str(index[2] - 6))
    after = planes(visit)
    expected = seen(fixed, "axial", index[2] - 6)
    assert alike(expected, after["axial"]) > 0.93 > alike(expected, before["axial"])
    visit.page.locator(CANVAS).first.focus()
    visit.page.keyboard.press("ArrowUp")
    assert round(visit.page.evaluate("viewer.scene.index[2]")) == index[2] - 5
    run(visit, f"viewer.scene.goTo({index})")


def test_blink_alternates_between_both_images(visit):
    visit.page.keyboard.press("b")
    shown = []
    for image in ("fixed", "moving", "fixed", "moving"):
        visit.page.wait_for_selector(f"#viewer[data-shown={image}]")
        shown.append(view_and_planes(visit))  # a busy machine may be late
    visit.page.keyboard.press("b")
    pictures = {view: planes["axial"] for view, planes in shown}
    assert set(pictures) == {"fixed", "moving"}
    assert np.abs(pictures["fixed"] - pictures["moving"]).mean() > 0.01
    assert visit.page.evaluate("viewer.state.view") == "fixed"


def test_views_put_each_image_where_they_say(visit):
    pictures = {}
    for view in ("fixed", "moving", "swipe", "checkerboard", "fade", "overlay", "difference"):
        run(visit, f"viewer.change({{view: '{view}', side: 'moving', share: 0.5}})")
        pictures[view] = planes(visit)["axial"]
    fixed, moving, swipe = (pictures[name] for name in ("fixed", "moving", "swipe"))
    middle = fixed.shape[1] // 2
    assert np.abs(swipe[:, : middle - 4] - fixed[:, : middle - 4]).max() < 0.02
    assert np.abs(swipe[:, middle + 4 :] - moving[:, middle + 4 :]).max() < 0.02
    assert np.abs(pictures["fade"] - (fixed + moving) / 2).mean() < 0.02
    from_fixed = (np.abs(pictures["checkerboard"] - fixed).max(axis=2) < 0.01).mean()
    from_moving = (np.abs(pictures["checkerboard"] - moving).max(axis=2) < 0.01).mean()
    assert 0.4 < from_fixed < 0.95
    assert 0.4 < from_moving < 0.95
    red, _, blue = np.moveaxis(pictures["overlay"], 2, 0)
    lean, change = (red - blue).ravel(), (fixed - moving)[..., 0].ravel()
    assert np.corrcoef(lean, change)[0, 1] > 0.9  # orange where the fixed image is brighter
    dark, bright = np.quantile(np.abs(change), [0.3, 0.98])
    light = pictures["difference"].mean(axis=2).ravel()
    assert light[np.abs(change) > bright].mean() > light[np.abs(change) < dark].mean() + 0.1
    run(visit, "viewer.change({view: 'fixed', side: 'warped'})")


def test_window_and_level_change_the_brightness(visit):
    first = planes(visit)["axial"]
    run(visit, "viewer.change({windows: {...viewer.state.windows, fixed: [0, 1e6]}})")
    assert planes(visit)["axial"].mean() < first.mean() / 3
    visit.page.get_by_text("Window and level").click()
    visit.page.get_by_role("button", name="Reset").first.click()
    assert np.abs(planes(visit)["axial"] - first).max() < 0.02


def test_overlays_are_drawn_and_go_away(visit):
    plain = planes(visit)["axial"]
    colours = {"outlines": (1.0, 0.66, 0.12), "lines": (1.0, 1.0, 0.75)}
    for name, colour in colours.items():
        run(visit, f"viewer.change({{{name}: true}})")
        drawn = planes(visit)["axial"]
        changed = np.abs(drawn - plain).max(axis=2) > 0.1
        assert 0.005 < changed.mean() < 0.5, name
        assert (np.abs(drawn - colour).max(axis=2) < 0.3)[changed].any(), name
        run(visit, f"viewer.change({{{name}: false}})")
    run(visit, "viewer.change({change: true})")
    tinted = planes(visit)["axial"]
    assert np.abs(tinted - plain).mean() > 0.05
    assert visit.page.locator(".histogram svg rect").count() == 128
    run(visit, "viewer.change({change: false})")
    assert np.abs(planes(visit)["axial"] - plain).max() < 0.02


@pytest.mark.parametrize("zoom", [1, 2.5])
def test_marks_lie_where_the_library_finds_the_same_voxel(visit, zoom):
    run(visit, f"viewer.scene.setZoom({zoom})", draw=True)
    pairs = run(
        visit,
        """viewer.scene.tiles().map(({plane, place}) => {
          const index = viewer.scene.index.map((value, k) => value + [1.5, -2, 1][k]);
          const normal = {axial: 2, coronal: 1, sagittal: 0}[plane];
          index[normal] = viewer.scene.index[normal];
          const frac = viewer.scene.nv.canvasPos2frac(place(index));
          const found = viewer.scene.document.shape.map((n, k) => frac[k] * n - 0.5);
          return [index, found];
        })""",
    )
    assert len(pairs) == 3
    for index, found in pairs:
        assert found == pytest.approx(index, abs=0.1)
    run(visit, "viewer.scene.setZoom(1)", draw=True)


def test_landmarks_are_drawn_near_the_planes(visit):
    def marked():
        url = visit.page.evaluate("document.querySelector('.marks').toDataURL()")
        marks = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        return int((np.asarray(marks)[..., 3] > 0).sum())

    assert marked() == 0
    run(visit, "viewer.scene.goTo(viewer.scene.document.landmarks[0].fixed)")
    run(visit, "viewer.change({landmarks: true})", draw=True)
    assert int(visit.page.get_attribute("#viewer", "data-landmarks")) >= 3  # one in every plane
    assert marked() > 3 * 50
    run(visit, "viewer.change({landmarks: false})", draw=True)
    assert marked() == 0


def test_the_cursor_reads_world_coordinates_and_intensities(visit, registration):
    run(visit, "viewer.scene.goTo([20, 15, 14])", draw=True)
    text = visit.page.inner_text(".readout")
    canonical = nibabel.as_closest_canonical(
        nibabel.Nifti1Image(
            registration.pair.fixed.data.float().numpy(),
            registration.pair.fixed.grid.affine.numpy(),
        )
    )
    world = nibabel.affines.apply_affine(canonical.affine, [20, 15, 14])
    assert text.startswith(", ".join(f"{mm:.1f}" for mm in world) + " mm (RAS)")
    value = canonical.get_fdata()[20, 15, 14]
    said = float(text.split("fixed ")[1].split(" ")[0])
    assert said == pytest.approx(value, abs=0.02 * np.ptp(canonical.get_fdata()))


def test_nothing_is_requested_nothing_is_said_and_names_stay_text(visit, report):
    assert visit.messages == []
    outside = [u for u in visit.requests if not u.startswith(("data:", "blob:"))]
    assert outside == [report.as_uri()]
    assert NASTY.split("/")[-1] in visit.page.text_content("#viewer")
    assert visit.page.locator("#viewer script").count() == 0
    assert visit.page.locator("details#still").get_attribute("open") is None


def test_a_phone_shows_the_viewer_without_overflow(visit):
    visit.page.set_viewport_size({"width": 390, "height": 800})
    tops = "Object.fromEntries(viewer.scene.tiles().map(({plane, top}) => [plane, top]))"
    for _ in range(200):  # until the page has been arranged again
        if visit.page.evaluate(f"{tops}.sagittal > {tops}.axial + 50"):
            break
        visit.page.wait_for_timeout(100)
    assert visit.page.evaluate(f"{tops}.sagittal > {tops}.axial + 50")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visit.messages == []


def test_without_webgl_the_pictures_and_a_sentence_are_shown(started, report):
    visit = Visit(started, report, NO_WEBGL)
    visit.page.wait_for_load_state("load")
    assert "needs a browser with JavaScript and WebGL 2" in visit.page.inner_text("#viewer")
    assert visit.page.locator("details#still img").first.is_visible()
    assert visit.messages == []
    visit.page.close()
