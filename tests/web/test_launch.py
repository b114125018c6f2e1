"""The launch form: the price that it shows is the price of what it launches."""

import json
import threading

from playwright.sync_api import expect

from tests.waiting import eventually
from tests.web.conftest import AXE, page_problems

LAUNCHES = "**/api/v1/instances/launch"


def names_of(home):
    """The names of all workspaces, with those that other files' tests terminated."""
    return {workspace.name for workspace in home.client.workspaces.list()}


def test_launch_waits_for_the_price_of_the_chosen_size(empty_home, browsing):
    browser = browsing(empty_home, own=True)
    page = browser.open("/launch?template=plain-shell&name=sized")
    button = page.get_by_role("button", name="Launch sized")
    plan = page.locator("dl")
    expect(plan.get_by_text("$0.0208/h", exact=True).first).to_be_visible()
    expect(button).to_be_enabled()
    held, released = [], threading.Event()

    def hold(route):
        if route.request.post_data_json.get("size") == "XL" and not released.is_set():
            held.append(route)
        else:
            route.continue_()

    page.route(LAUNCHES, hold)
    page.get_by_role("radio", name="XL").click(force=True)
    expect(plan.get_by_text("$0.0208/h", exact=True)).to_have_count(0)
    expect(button).to_be_disabled()
    eventually(lambda: page.wait_for_timeout(20) or held)
    released.set()
    for route in held:
        route.continue_()
    expect(plan.get_by_text("$0.3328/h", exact=True).first).to_be_visible()
    expect(button).to_be_enabled()
    page.route(LAUNCHES, lambda route: route.abort())
    with page.expect_request(LAUNCHES) as sent:
        button.click()
    order = sent.value.post_data_json
    assert (order["size"], order["max_hourly_rate"]) == ("XL", 0.3328)
    assert "sized" not in names_of(empty_home)


def test_price_that_rose_since_it_was_shown_launches_nothing(empty_home, browsing):
    page = browsing(empty_home, own=True).open("/launch?template=plain-shell&name=dearer")

    def as_if_it_rose(route):
        order = route.request.post_data_json
        if "max_hourly_rate" in order:
            assert order["max_hourly_rate"] == 0.0208
            route.continue_(post_data=json.dumps(order | {"max_hourly_rate": 0.01}))
        else:
            route.continue_()

    page.route(LAUNCHES, as_if_it_rose)
    page.get_by_role("button", name="Launch dearer").click()
    expect(page.get_by_text("at most $0.01 was allowed")).to_be_visible()
    assert "dearer" not in names_of(empty_home)


def test_first_screen_shows_place_price_and_launch(empty_home, browsing):
    size = {"width": 1280, "height": 800}
    for scheme in ("light", "dark"):
        browser = browsing(empty_home, viewport=size, color_scheme=scheme)
        page = browser.open("/launch?template=plain-shell&name=seen")
        expect(page.get_by_text("This computer (profile local)")).to_be_in_viewport(ratio=1)
        expect(page.get_by_text("Per month with disk and address").first).to_be_in_viewport(
            ratio=1
        )
        button = page.get_by_role("button", name="Launch seen")
        expect(button).to_be_enabled()
        expect(button).to_be_in_viewport(ratio=1)
        expect(page.get_by_text("8 cores, 32 GB · $0.3328/h")).to_be_visible()
        browser.shot(f"launch-{scheme}")
    browser = browsing(empty_home, viewport={"width": 360, "height": 800})
    page = browser.open("/launch?template=plain-shell&name=seen")
    expect(page.get_by_text("8 cores, 32 GB · $0.3328/h")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    browser.shot("launch-360")


def test_places_stand_side_by_side_with_their_prices(empty_home, browsing):
    profiles = empty_home.client.profiles
    profiles.create("cloud", "aws", region="eu-central-1")  # without credentials
    profiles.create("bench")
    try:
        for scheme, width in (("light", 1280), ("dark", 360)):
            size = {"width": width, "height": 800}
            browser = browsing(empty_home, viewport=size, color_scheme=scheme)
            page = browser.open("/launch?template=plain-shell&name=placed&size=XL")
            local = page.get_by_role("radio", name="This computer (profile local)")
            cloud = page.get_by_role("radio", name="AWS, eu-central-1 (profile cloud)")
            expect(local).to_be_checked()
            places = page.get_by_role("radiogroup", name="Where")
            expect(places.get_by_text("8 cores, 32 GB · $0.3328/h")).to_have_count(2)
            expect(places).not_to_contain_text("Working out the price")
            cloud.click(force=True)
            expect(page.get_by_role("button", name="Launch placed")).to_be_disabled()
            assert "profile=cloud" in page.url
            local.click(force=True)
            expect(page.get_by_role("button", name="Launch placed")).to_be_enabled()
            assert "profile=" not in page.url
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            browser.shot(f"launch-places-{scheme}")
    finally:
        profiles.delete("cloud")
        profiles.delete("bench")


def test_every_option_of_the_command_can_be_chosen(empty_home, browsing):
    empty_home.client.volumes.create("chosen-data", size_gb=1)
    try:
        for scheme, width in (("light", 1280), ("dark", 360)):
            size = {"width": width, "height": 800}
            browser = browsing(empty_home, viewport=size, color_scheme=scheme)
            page = browser.open("/launch?template=plain-shell&name=chosen")
            page.get_by_role("button", name="More options").click()
            page.get_by_label("Machine type").fill("t3.large")
            sizes = page.get_by_role("radiogroup", name="Size")
            expect(sizes.get_by_role("radio", checked=True)).to_have_count(0)
            expect(sizes.get_by_text("8 cores, 32 GB · $0.3328/h")).to_be_visible()
            page.get_by_label("Disk in GB").fill("50")
            page.get_by_role("button", name="Volumes").click()
            page.get_by_role("option", name="chosen-data").click()
            page.keyboard.press("Escape")
            page.get_by_role("checkbox", name="Never hibernate").click(force=True)
            page.get_by_role("checkbox", name="Start it after a reboot").click(force=True)
            button = page.get_by_role("button", name="Launch chosen")
            expect(button).to_be_enabled()
            page.evaluate(AXE.read_text())
            assert page_problems(page, width) == []
            browser.shot(f"launch-options-{scheme}")
            page.reload()  # the options are in the address
            expect(page.get_by_label("Disk in GB")).to_have_value("50")
            expect(button).to_be_enabled()
            page.route(LAUNCHES, lambda route: route.abort())
            with page.expect_request(LAUNCHES) as sent:
                button.click()
            order = sent.value.post_data_json
            chosen = {key: order[key] for key in ("instance_type", "storage", "volumes")}
            assert chosen == {
                "instance_type": "t3.large",
                "storage": {"ebs_volume_size": 50},
                "volumes": ["chosen-data"],
            }
            assert (order["hibernation"], order["restart"]) == (False, True)
    finally:
        empty_home.client.volumes.delete("chosen-data")
