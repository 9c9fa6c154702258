"""The whole story in a browser: a correction is painted, trains a model, and the next job uses it.

An author at a desk with the keyboard alone, and a reviewer with a telephone, by touch, in Japanese.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sqlalchemy import select

from bl_steer.analysis.segmentation.model import SegmentationModel
from bl_steer.analysis.segmentation.phases import FIBSEM_PHASES
from bl_steer.analysis.segmentation.training import TrainingSettings
from bl_steer.analysis.segmentation.training.card import train_model
from bl_steer.analysis.segmentation.training.training_set import LabelledField, TrainingSet
from bl_steer.server.db.tables import Retraining, SamplePart, User
from bl_steer.server.packages.checking import check_next
from bl_steer.server.retraining.pairs import add_correction, used_by
from bl_steer.server.retraining.run import RetrainingFailed, Retrainings
from bl_steer.server.retraining.settings import RetrainingSettings
from bl_steer.server.sandbox.run import sandbox_problem
from tests.bl_steer.server.segmented import png, uploaded, work

pytestmark = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")

PASSWORD = "correct horse battery"
LONG_MS = 60_000
SMALL = {"network": "unet", "widths": (4, 8), "batch": 2, "patch_px": 32, "calibrate": False}


def film(seed: int, *, inverted: bool = True, size_px: int = 64) -> tuple[Any, Any]:
    """Return a micrograph of three phases, and their labels."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(size_px, size_px)), 4)
    labels = np.digitize(smooth, np.quantile(smooth, (1 / 3, 2 / 3)))
    greys = np.array([60, 120, 180] if inverted else [180, 120, 60])
    grey = greys[labels] + rng.normal(0, 8, labels.shape)
    return np.clip(grey, 0, 255).astype(np.uint8), labels.astype(np.uint8)


@pytest.fixture
def site(site_module: ModuleType, tmp_path: Path) -> Iterator[Any]:
    """A running server whose trainings and checks do not wait for everything else."""
    with site_module.running_site(tmp_path / "service", job_niceness=0) as running:
        yield running


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the phases by their greys, the other way round than users paint them."""
    fields = [
        LabelledField(*film(seed, inverted=False), f"c{seed}", {}, f"c{seed}")
        for seed in range(500, 504)
    ]
    settings = TrainingSettings(**SMALL, steps=30, evaluate_every=15)
    folder = tmp_path_factory.mktemp("models") / "champion"
    train_model(TrainingSet(FIBSEM_PHASES, fields[:3], fields[3:], []), settings, folder=folder)
    return folder


def page_of(chromium: Any, site: Any, email: str, errors: list[str], **context: Any) -> Any:
    page = chromium.new_context(**context).new_page()
    page.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda one: errors.append(str(one)))
    page.set_default_timeout(LONG_MS)
    page.goto(f"{site.address}/sign-in")
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.address}/")
    return page


def press(page: Any, selector: str, key: str = "Enter") -> None:
    """Press a key on what the keyboard has reached."""
    page.locator(selector).first.focus()
    page.keyboard.press(key)


def give_pairs(site: Any, numbers: range) -> list[str]:
    """Upload micrographs with whole masks; return the ids of the micrographs."""
    browser, images = site.browser(), []
    for number in numbers:
        # The first is held out: it has the pixels for an interval.
        image, labels = film(number, size_px=64 if number else 128)
        sample = f"Film {number}"
        ids = [
            uploaded(browser, name, png(array), sample=sample)
            for name, array in ((f"{number}.png", image), (f"{number}_mask.png", labels))
        ]
        with site.context.database.write() as session:
            user = session.scalars(select(User).order_by(User.created)).first()
            assert user is not None
            add_correction(session, *ids, user)
            # Which part a specimen is in goes by its name, with its user's id: any of them.
            part = ("hold-out", "validation")[number] if number < 2 else "train"
            session.add(SamplePart(sample=f"{user.id}/{sample}", part=part))
        images.append(ids[0])
    return images


def painted_by_keys(page: Any, sample: str, tmp_path: Path, site: Any) -> None:
    """Upload a micrograph, have it segmented, look closely, and paint a correction."""
    file = tmp_path / "film_6.png"
    file.write_bytes(png(film(6)[0]))
    page.set_input_files("#files", str(file))
    page.fill("#sample", sample)
    page.keyboard.press("Enter")
    page.wait_for_url("**/analyses?file=*")
    press(page, "a:has-text('Segment micrographs')")
    page.fill("[name='p.pixel_size_nm']", "10")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/*")
    work(site, tmp_path / "first")
    page.wait_for_selector(".state-done")
    page.wait_for_selector(".scale:visible")
    whole = page.inner_text(".scale span")
    for _ in range(12):
        press(page, ".pane .openseadragon-canvas", "+")
    page.wait_for_selector(f".pane:not([hidden]) .scale span:not(:text-is('{whole}'))")
    page.goto(f"{site.address}/training")
    press(page, f"a[aria-label='Paint {sample}']")
    page.wait_for_selector("#save:enabled")
    press(page, "#clear")
    for phase, arrow in (("1", "ArrowLeft"), ("3", "ArrowRight")):
        page.locator(".openseadragon-canvas").first.focus()
        page.keyboard.press(phase)
        page.keyboard.press(arrow)
        page.wait_for_timeout(50)
        page.keyboard.press("Enter")
    press(page, "#save")
    page.wait_for_selector("#paint-saved:visible")


def test_a_correction_trains_a_model_that_is_reviewed_released_and_used_by_the_next_job(
    chromium: Any, site: Any, champion: Path, tmp_path: Path
) -> None:
    site.user()
    reviewer = site.user("rei@example.org", role="reviewer", language="ja")
    errors: list[str] = []
    images = give_pairs(site, range(5))
    desk = {"width": 1280, "height": 900}
    ann = page_of(chromium, site, "ann@example.org", errors, locale="en-GB", viewport=desk)
    painted_by_keys(ann, "Film 6", tmp_path, site)

    ann.goto(f"{site.address}/training")
    assert ann.locator("td:has-text('Film 6')").count() == 1, "a pair, and no longer to be painted"
    press(ann, "#retrainings button")
    ann.wait_for_selector("#retrainings .state-queued")
    asked = RetrainingSettings(
        champion=str(champion), steps=60, batch=2, patch_px=32, learning_rate=1e-2, memory_mib=4096
    )
    trained = Retrainings(site.context.settings, site.context.database, asked)
    with site.context.database.read() as session:
        (begun,) = session.scalars(select(Retraining.id))
    with site.context.database.write() as session:
        session.get_one(Retraining, begun).champion = str(champion)
    seen: list[tuple[int, int]] = []
    report = trained.carry_out(begun, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (60, 60)
    assert report["comparison"]["verdict"] == "better"
    assert report["champion_weights"] == SegmentationModel.load(champion).weights_sha256
    document = (trained.folder_of(begun) / "report.html").read_text()
    assert "The candidate is better." in document
    assert "候補モデルのほうが優れています。" in document
    assert document.count("data:image/png") == 2
    with pytest.raises(RetrainingFailed, match=r"got .* done"):
        trained.carry_out(begun)

    ann.wait_for_selector("#retrainings .state-done")  # the page finds out by itself
    assert "The candidate is better." in ann.inner_text("#retrainings")
    press(ann, "form[action$='/submit'] button")
    ann.wait_for_url("**/packages/*")
    sha256 = ann.url.rpartition("/")[2]
    assert ann.locator("button[value=approve]").count() == 0
    assert check_next(site.context.database, site.context.packages) == sha256

    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    rei = page_of(chromium, site, reviewer.email, errors, locale="ja-JP", **phone)
    rei.tap("nav a[href='/packages']")
    rei.tap(f"a[href='/packages/{sha256}']")
    rei.wait_for_selector("text=候補モデルのほうが優れています。")
    assert rei.evaluate("document.documentElement.scrollWidth") <= 390
    rei.tap("button[value=approve]")
    rei.tap("button[value=release]")
    rei.wait_for_selector(".state-released")
    with site.context.database.read() as session:
        (used,) = used_by(session, images[0])
        assert used.packages == ("segment-retrained@1.0.0 (released)",)

    ann.goto(f"{site.address}/files")
    press(ann, "[aria-label='Choose film_6.png']", "Space")
    press(ann, "button[form=choose]")
    press(ann, "a:has-text('Segmentation, retrained')")
    ann.wait_for_url("**/analyses/segment-retrained*")
    assert ann.locator("label:has-text('_mask.png')").count() == 0, "masks are not to be segmented"
    press(ann, "form.panel button.main")
    ann.wait_for_url("**/jobs/*")
    job = site.job(work(site, tmp_path / "second"))
    assert job.package_sha256 == job.provenance["package"] == sha256
    assert len(set(job.warnings)) == len(job.warnings)
    ann.wait_for_selector(".state-done")
    ann.wait_for_selector(".phases label:has-text('void')")
    assert ann.get_attribute(".to-paint", "href") == f"/jobs/{job.id}/paint/field_000"
    with site.context.database.read() as session:
        again = session.get_one(Retraining, trained.begin(actor="test"))
    assert again.champion == sha256
    assert errors == []
