"""Files of a workspace in the browser: upload, preview, rename, download, delete."""

import base64
import json
import re

import pytest
from playwright.sync_api import expect

from tests.web.conftest import AXE, page_problems

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
PNG += "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
DROP = """
([name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name));
  const target = document.querySelector("[data-over]");
  const how = {bubbles: true, cancelable: true, dataTransfer: data};
  for (const type of ["dragover", "drop"]) target.dispatchEvent(new DragEvent(type, how));
}
"""


@pytest.fixture
def home(home_with_workspace):
    return home_with_workspace


def inside(home):
    [folder] = (home.folder / "workspaces").glob("local-*/home")
    return folder


def test_files_can_be_uploaded_previewed_renamed_downloaded_and_deleted(home, browsing):
    browser = browsing(home)
    page = browser.open("/workspaces/mine?tab=files")
    table = page.get_by_role("table", name="Files")
    page.evaluate(DROP, ["<b>notes.txt", "one\ntwo"])
    row = table.get_by_role("row").filter(has_text="<b>notes.txt")
    expect(row).to_contain_text("7 B")
    row.get_by_role("link").click()
    expect(page.get_by_role("dialog")).to_contain_text("one")
    assert "preview=" in page.url
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()

    page.get_by_role("button", name="New folder").click()
    page.get_by_role("textbox", name="Name").fill("data")
    page.keyboard.press("Enter")
    expect(table.get_by_role("row").filter(has_text="data")).to_be_visible()
    row.get_by_role("button", name="Actions for").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_role("textbox", name="New path").fill("data/notes.txt")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(row).to_have_count(0)
    page.get_by_role("link", name="data", exact=True).click()
    expect(page.get_by_role("link", name="notes.txt")).to_be_visible()
    assert page.url.endswith("path=data")

    page.get_by_role("button", name="Actions for notes.txt").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Download").click()
    assert download.value.path().read_text() == "one\ntwo"
    page.evaluate(DROP, ["notes.txt", "new"])
    page.get_by_role("button", name="Replace it").click()
    expect(table.get_by_role("row").filter(has_text="notes.txt")).to_contain_text("3 B")
    assert (inside(home) / "data" / "notes.txt").read_text() == "new"

    page.goto(f"{browser.base}/workspaces/mine?tab=files")
    page.get_by_role("checkbox", name="Select data").click(force=True)
    page.get_by_role("button", name="Delete", exact=True).click()
    confirm = page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True)
    expect(confirm).to_be_disabled()
    page.get_by_role("textbox", name="To confirm, type: data").fill("data")
    confirm.click()
    expect(page.get_by_role("link", name="data", exact=True)).to_have_count(0)
    assert not (inside(home) / "data").exists()


def test_preview_shows_pictures_and_notebooks_without_running_scripts(home, browsing):
    folder = inside(home)
    (folder / "dot.png").write_bytes(base64.b64decode(PNG))
    svg = "<svg xmlns='http://www.w3.org/2000/svg'><script>fetch('/ran')</script></svg>"
    (folder / "evil.svg").write_text(svg)
    html = {"text/html": "<script>fetch('/ran')</script>", "text/plain": "42"}
    cell = {"cell_type": "code", "source": "print(42)", "outputs": [{"data": html}]}
    (folder / "n.ipynb").write_text(json.dumps({"cells": [cell]}))
    browser = browsing(home)
    page = browser.open("/workspaces/mine?tab=files&preview=dot.png")
    picture = page.get_by_role("img", name="dot.png")
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("naturalWidth", 1)
    page.goto(f"{browser.base}/workspaces/mine?tab=files&preview=evil.svg")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.goto(f"{browser.base}/workspaces/mine?tab=files&preview=n.ipynb")
    expect(page.get_by_role("dialog")).to_contain_text("42")
    expect(page.get_by_role("dialog")).to_contain_text("print(42)")
    assert not [request for request in browser.requests if request.endswith("/ran")]


def test_volume_appears_on_the_open_files_page_once_it_is_attached(home, browsing):
    home.client.volumes.create("shared", size_gb=1)
    stored = home.folder / "storage" / "volumes"
    page = browsing(home).open("/workspaces/mine?tab=files&path=volumes")
    home.client.volumes.attach("shared", "mine")  # the open page follows
    page.get_by_role("link", name="shared", exact=True).click()
    expect(page.get_by_text("This folder is empty.")).to_be_visible()
    page.evaluate(DROP, ["kept.txt", "on the volume"])
    expect(page.get_by_role("link", name="kept.txt")).to_be_visible()
    [written] = stored.glob("vol-*/data/kept.txt")
    assert written.read_text() == "on the volume"


@pytest.mark.slow
def test_large_file_can_be_uploaded(home, browsing, tmp_path):
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(range(256)) * 4096 * 100)
    page = browsing(home).open("/workspaces/mine?tab=files")
    page.get_by_label("Upload", exact=True).first.set_input_files(big)
    row = page.get_by_role("table", name="Files").get_by_role("row").filter(has_text="big.bin")
    expect(row).to_contain_text("104.9 MB", timeout=120_000)
    assert (inside(home) / "big.bin").read_bytes() == big.read_bytes()


def throttle(page, bytes_per_second):
    """Limits what the page sends; -1 is no limit."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    limits["uploadThroughput"] = bytes_per_second
    session.send("Network.emulateNetworkConditions", limits)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_upload_goes_on_when_its_page_is_left(home, browsing, tmp_path, scheme):
    name = f"left-{scheme}.bin"
    (tmp_path / name).write_bytes(bytes(range(256)) * 4096)
    size = {"width": 1280 if scheme == "light" else 360, "height": 800}
    browser = browsing(home, color_scheme=scheme, viewport=size)
    page = browser.open("/workspaces/mine?tab=files")
    throttle(page, 300_000)
    page.get_by_label("Upload", exact=True).first.set_input_files(tmp_path / name)
    tray = page.get_by_role("region", name="Uploads")
    bar = tray.get_by_role("progressbar")
    expect(bar).to_have_attribute("value", re.compile(r"^[1-9]\d?(\.\d+)?$"))  # bytes, not pieces
    page.evaluate("history.pushState({idx: 0}, '', '/events')")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate', {state: history.state}))")
    expect(page.get_by_role("heading", level=1)).to_have_text("Events")
    expect(tray).to_contain_text(name)
    page.evaluate(AXE.read_text())
    assert page_problems(page, size["width"]) == []
    browser.shot(f"uploads-{scheme}")
    throttle(page, -1)
    expect(page.get_by_text("1 file is uploaded")).to_be_visible()
    expect(tray).to_have_count(0)
    assert (inside(home) / name).read_bytes() == (tmp_path / name).read_bytes()


def test_upload_asks_before_a_reload_and_continues_after_it(home, browsing, tmp_path):
    (tmp_path / "long.bin").write_bytes(bytes(range(256)) * 8192)
    (tmp_path / "other.bin").write_bytes(b"another file")
    browser = browsing(home, own=True)
    page = browser.open("/workspaces/mine?tab=files")
    throttle(page, 300_000)
    page.get_by_label("Upload", exact=True).first.set_input_files(tmp_path / "long.bin")
    tray = page.get_by_role("region", name="Uploads")
    expect(tray.get_by_role("progressbar")).to_have_attribute("value", re.compile(r"^[1-9]\d"))
    page.get_by_role("heading", level=1).click()  # browsers ask only who has used the page
    questions = []

    def leave(dialog):
        questions.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    page.reload()
    assert questions == ["beforeunload"]
    expect(tray).to_contain_text("Choose the file again to continue")
    throttle(page, -1)
    puts = []
    page.on(
        "response",
        lambda got: puts.append((got.status, got.url)) if got.request.method == "PUT" else None,
    )
    again = tray.get_by_label("Choose long.bin again")
    again.set_input_files(tmp_path / "other.bin")
    expect(page.get_by_text("This is another file than long.bin")).to_be_visible()
    again.set_input_files(tmp_path / "long.bin")
    expect(tray).to_have_count(0)
    status, url = puts[-1]
    assert (status, "offset=0&" in url) == (200, False), "it is not sent from the beginning"
    assert (inside(home) / "long.bin").read_bytes() == (tmp_path / "long.bin").read_bytes()


def test_folder_can_be_uploaded(home, browsing, tmp_path):
    (tmp_path / "run" / "logs").mkdir(parents=True)
    (tmp_path / "run" / "a.txt").write_text("a")
    (tmp_path / "run" / "logs" / "b.txt").write_text("b")
    page = browsing(home).open("/workspaces/mine?tab=files")
    page.get_by_label("Upload a folder", exact=True).first.set_input_files(tmp_path / "run")
    expect(page.get_by_text("2 files are uploaded")).to_be_visible()
    expect(page.get_by_role("link", name="run", exact=True)).to_be_visible()
    assert (inside(home) / "run" / "a.txt").read_text() == "a"
    assert (inside(home) / "run" / "logs" / "b.txt").read_text() == "b"
