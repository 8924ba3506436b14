"""Draw the picture of docs/formats.md that Label Studio makes: it imports pre-labels, and Chromium looks at them.

    pip install label-studio                    # in an environment of its own
    label-studio start --no-browser --port 8765 --username a@example.org --password PASSWORD &
    python tools/label_studio_picture.py http://127.0.0.1:8765 a@example.org PASSWORD

The image travels in the task itself, as a data address. Needs the extra `dev`, and Chromium at /usr/bin/chromium.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

import lightpose
from lightpose import PoseEstimator, read_image
from lightpose.formats.label_studio import labeling_config

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "examples" / "photos" / "photographer.png"

POST = """async ([path, body]) => {
    const token = document.cookie.match(/csrftoken=([^;]+)/)[1];
    const headers = { "Content-Type": "application/json", "X-CSRFToken": token };
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
}"""


def tasks() -> list[dict[str, Any]]:
    """The photo with its pre-labels, as `lightpose convert --to label-studio` writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tasks.json"
        lightpose.write([PoseEstimator().predict(read_image(PHOTO))], path, "label-studio")
        made: list[dict[str, Any]] = json.loads(path.read_text())
    made[0]["data"]["image"] = "data:image/png;base64," + base64.b64encode(PHOTO.read_bytes()).decode()
    return made


def draw(page: Page, address: str, login: str, password: str) -> None:
    """Log in, import the task into a new project, open it, and save what is seen."""
    page.goto(f"{address}/user/login/")
    page.fill("input[name=email]", login)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_load_state()
    project = page.evaluate(POST, ["/api/projects/", {"title": "Pre-labels", "label_config": labeling_config()}])
    found = page.evaluate(POST, [f"/api/projects/{project['id']}/import?return_task_ids=true", tasks()])
    page.goto(f"{address}/projects/{project['id']}/data?task={found['task_ids'][0]}")
    page.get_by_text("right_ear", exact=True).first.wait_for()
    page.wait_for_timeout(2000)  # the canvas has no mark that it is drawn
    page.screenshot(path=ROOT / "docs" / "formats_label_studio.jpg", type="jpeg", quality=80)


if __name__ == "__main__":
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        draw(browser.new_page(viewport={"width": 1100, "height": 720}), *sys.argv[1:4])
        browser.close()
