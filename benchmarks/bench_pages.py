"""How long each page of the analysis server takes in a browser while two jobs run; and axe's word.

A whole server (web, workers, keeper) with SQLite, whose two workers are busy; an administrator with
files, results, a package in review, a retraining and a group. Each page is loaded in chromium, at
1280 px in English and at 390 px in both languages. Asks for 1.5 s until it is there; how long it
takes until an image can be looked at, decoded in the sandbox at the first look, is told beside it.
With ``--axe`` each page is searched by axe-core: no serious fault is allowed (`make axe` fetches
it).

    python benchmarks/bench_pages.py [--axe axe.min.js] [--shots FOLDER]
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import func, select

from bl_steer.server.auth.accounts import add_user, invite, start_session
from bl_steer.server.auth.api_keys import SCOPES, make_key
from bl_steer.server.auth.groups import make_group, share_result
from bl_steer.server.auth.password_resets import make_reset
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Correction, Job, Package, Retraining, Snapshot, Upload, User
from bl_steer.server.jobs.shares import share_job
from bl_steer.server.packages.manifest import read_source
from bl_steer.server.packages.template import write_template
from bl_steer.server.settings import ServerSettings

PORT = 8872
MOST_S = 1.5
SERIOUS = ("serious", "critical")
VISITORS: tuple[dict[str, Any], ...] = (
    {"locale": "en-GB", "viewport": {"width": 1280, "height": 900}},
    {"locale": "ja-JP", "viewport": {"width": 390, "height": 844}, "has_touch": True},
    {"locale": "en-GB", "viewport": {"width": 390, "height": 844}, "has_touch": True},
)
REPORT = {
    "phases": ["oxide", "carbon", "void"],
    "hold_out": ["film.png"],
    "comparison": {
        "verdict": "better",
        "champion": [0.71, 0.68, 0.74],
        "candidate": [0.81, 0.78, 0.84],
        "difference": [0.1, 0.06, 0.14],
        "champion_iou": [0.8, 0.7, None],
        "candidate_iou": [0.9, 0.72, None],
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--axe", type=Path, help="axe.min.js of axe-core")
    parser.add_argument("--shots", type=Path, help="folder for a picture of each page")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(measure(Path(folder), chosen.axe, chosen.shots))


def measure(folder: Path, axe: Path | None, shots: Path | None) -> int:
    """Return 1 where a page was too slow or has a serious fault, else 0."""
    os.environ |= {
        "BL_STEER_SERVICE_FOLDER": str(folder),
        "BL_STEER_SERVICE_PORT": str(PORT),
        "BL_STEER_SERVICE_RATE_PER_MINUTE": str(10**7),
        "BL_STEER_SERVICE_REGISTRATION": "true",
    }
    settings = ServerSettings()
    database = Database(settings.database)
    database.create_tables()
    with database.write() as session:
        user = add_user(session, "admin@example.org", password="long enough", role="admin")
        key = make_key(session, user, "bench", SCOPES)
    with open(folder / "log", "wb") as log:
        command = [sys.executable, "-m", "bl_steer", "serve"]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ)
    try:
        client = httpx.Client(
            base_url=settings.address, headers={"Authorization": f"Bearer {key}"}, timeout=60
        )
        wait_until(lambda: answers(client), "the server must answer")
        paths = fill(client, database, user, settings, folder)
        return visit(settings.address, database, user, paths, axe, shots)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
        database.close()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.HTTPError:
        return False


def fill(
    client: httpx.Client, database: Database, user: User, settings: ServerSettings, folder: Path
) -> dict[str, str]:
    """Give the user something of everything; return the paths of all pages, by what they show."""
    rng = np.random.default_rng(0)
    grey = np.where(np.add.outer(np.arange(384), np.arange(512)) // 64 % 2, 70, 180)
    picture = io.BytesIO()
    Image.fromarray(np.uint8(grey + rng.integers(0, 20, grey.shape))).save(picture, "png")
    image = upload(client, "film.png", picture.getvalue(), sample="Film 7")
    stack = io.BytesIO()
    np.save(stack, rng.integers(0, 255, (12, 96, 96), np.uint8))
    stack_id = upload(client, "stack.npy", stack.getvalue())
    points = b"x,y,value\n" + b"".join(b"%d,%d,%d\n" % (k % 5, k // 5, k) for k in range(25))
    points_id = upload(client, "points.csv", points)
    segmented = start(client, "segment", image, {"pixel_size_nm": 10})
    advised = start(client, "advise", points_id, {})
    for job in (segmented, advised):
        wait_until(lambda job=job: state(client, job) == "done", f"{job} must end")
    long = {"pitch_nm": 50, "pixel_size_nm": 10, "steps": 100_000}
    busy = [start(client, "superres", stack_id, long) for _ in range(2)]
    wait_until(lambda: running(database) == 2, "two jobs must run")
    write_template(folder / "grains", author="bench")
    manifest = read_source(folder / "grains")
    shutil.copytree(folder / "grains", settings.folder / "packages" / ("a" * 64))
    with database.write() as session:
        session.add(
            Package(
                sha256="a" * 64,
                name=manifest.name,
                version="1.0.0",
                author_id=user.id,
                state="checked",
                manifest=manifest.model_dump(mode="json"),
                report={"inspection": {"imports": {"script.py": ["numpy"]}, "weights": {}}},
            )
        )
        session.add(Snapshot(sha256="b" * 64, manifest={"pairs": []}))
        session.flush()
        session.add(Retraining(snapshot_sha256="b" * 64, champion="fibsem", state="failed"))
        session.add(
            Retraining(snapshot_sha256="b" * 64, champion="fibsem", state="done", report=REPORT)
        )
        mask = session.get_one(Upload, points_id).id
        session.add(Correction(image_id=image, mask_id=mask, user_id=user.id))
        group = make_group(session, user, "Film group")
        result = session.get_one(Job, segmented)
        share_result(session, user, result, group.id)
        _, link = share_job(session, user, result, days=3)
        invited = invite(session, by=user.email)
        reset = make_reset(session, session.get_one(User, user.id), hours=1)
    return {
        "first page": "/",
        "files": "/files",
        "file": f"/files/{image}/view",
        "analyses": f"/analyses?file={image}",
        "form": f"/analyses/segment?file={image}",
        "history": "/jobs",
        "segmentation": f"/jobs/{segmented}",
        "suggestions": f"/jobs/{advised}",
        "running job": f"/jobs/{busy[0]}",
        "painting": f"/jobs/{segmented}/paint/field_000",
        "training": "/training",
        "account": "/account",
        "for programs": "/api",
        "packages": "/packages",
        "package": f"/packages/{'a' * 64}",
        "groups": "/groups",
        "group": f"/groups/{group.id}",
        "files of a group": f"/files?group={group.id}",
        "sharing": f"/sharing?file={image}",
        "server": "/admin",
        "accounts": "/admin/users",
        "one account": f"/admin/users/{user.id}",
        "requests": "/admin/access",
        "audit": "/admin/audit",
        "shared result": f"/s/{link}",
        "nothing": "/nothing",
        "sign in": "/sign-in",
        "register": "/register",
        "join": f"/join/{invited}",
        "ask for a password": "/reset",
        "new password": f"/reset/{reset}",
    }


def visit(
    address: str,
    database: Database,
    user: User,
    paths: dict[str, str],
    axe: Path | None,
    shots: Path | None,
) -> int:
    program = shutil.which("chromium")
    found = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for visitor in VISITORS:
            size = visitor["viewport"]["width"]
            print(f"{visitor['locale']}, {size} px{'page, s':>19}{'image, s':>10}")
            for name, path in paths.items():
                context = browser.new_context(**visitor, bypass_csp=True)
                if path.split("/")[1] not in ("sign-in", "register", "join", "reset", "s"):
                    with database.write() as session:
                        token = start_session(session, user, days=1)
                    context.add_cookies(
                        [{"name": "bl_steer_session", "value": token, "url": address}]
                    )
                page = context.new_page()
                seconds, looked = loaded(page, address + path)
                faults = faults_of(page, axe) if axe else []
                if shots is not None:
                    shots.mkdir(parents=True, exist_ok=True)
                    told = f"{size} {visitor['locale'][:2]} {name}.png"
                    page.screenshot(path=shots / told, full_page=True)
                context.close()
                slow = seconds > MOST_S
                found |= slow or bool(faults)
                image = f"{looked:10.2f}" if looked else 10 * " "
                print(f"  {name:24}{seconds:8.2f}{image}{'  too slow' if slow else ''}", flush=True)
                for fault in faults:
                    print(f"    {fault}")
        browser.close()
    print(f"two jobs ran to the end: {running(database) == 2}")
    return int(found)


def loaded(page: Page, address: str) -> tuple[float, float]:
    """Return how long it took until a page was there, and until its image was, if it has one, s."""
    began = time.perf_counter()
    page.goto(address, wait_until="load")
    there = time.perf_counter() - began
    if not page.locator(".viewer.scripted").count():
        return there, 0.0
    page.wait_for_selector(".scale:visible", timeout=60_000)
    return there, time.perf_counter() - began


def faults_of(page: Page, axe: Path) -> list[str]:
    """Return what axe finds serious or critical, one line each."""
    page.add_script_tag(path=axe)
    found: dict[str, Any] = page.evaluate("() => axe.run()")
    return [
        f"{one['impact']} {one['id']}: {one['help']} ({one['nodes'][0]['html'][:160]})"
        for one in found["violations"]
        if one["impact"] in SERIOUS
    ]


def upload(client: httpx.Client, name: str, body: bytes, sample: str = "") -> str:
    sent = client.post(
        "/api/v1/files",
        params={"file_name": name, "sample": sample, "may_train": True},
        content=body,
    )
    return str(sent.raise_for_status().json()["id"])


def start(client: httpx.Client, analysis: str, file: str, params: dict[str, object]) -> str:
    asked = {"analysis": analysis, "files": [file], "params": params}
    return str(client.post("/api/v1/jobs", json=asked).raise_for_status().json()["id"])


def state(client: httpx.Client, job: str) -> str:
    return str(client.get(f"/api/v1/jobs/{job}").raise_for_status().json()["state"])


def running(database: Database) -> int:
    with database.read() as session:
        query = select(func.count()).select_from(Job).where(Job.state == "running")
        return session.scalar(query) or 0


def wait_until(test: Callable[[], bool], what: str, seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, what
        time.sleep(0.2)


if __name__ == "__main__":
    main()
