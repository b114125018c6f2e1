"""The forms of the login page: accounts of the computer, and links by mail from a real server."""

import email
import re
from email.policy import default

import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import expect

from tests.conftest import free_port
from tests.optional import not_none
from tests.project.home import Home
from tests.waiting import eventually
from tests.web.conftest import AXE, page_problems, save_shot

MEMBER = "bob@example.org"


class Mailbox:
    """Keeps what the server gets."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(envelope.content)
        return "250 OK"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a shared daemon with both forms, and the mails that it sends."""
    home, port, mailbox = Home(tmp_path_factory.mktemp("forms") / "home"), free_port(), Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=free_port(), ready_timeout=60)
    server.start()
    base = f"http://prism.localhost:{port}"
    settings = {
        "PRISM_AUTH": "tokens",
        "PRISM_PORT": str(port),
        "PRISM_PUBLIC_URL": base,
        "PRISM_PAM": "login",
        "PRISM_PAM_DOMAIN": "example.org",
        "PRISM_LOGIN_LINKS": "mail",
        "PRISM_SMTP_URL": f"smtp://127.0.0.1:{server.port}",
        "PRISM_MAIL_FROM": "prism@example.org",
    }
    try:
        with home.run_daemon(**settings):
            home.client.projects.create("reef")
            home.client.members.add("reef", MEMBER)
            yield base, mailbox
    finally:
        server.stop()
        home.clear()


def text_of(mail):
    message = email.message_from_bytes(mail, policy=default)
    return not_none(message.get_body(["plain"])).get_content()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_forms_log_people_in_and_axe_reports_no_violation(chromium, lab, theme):
    base, mailbox = lab
    context = chromium.new_context(
        viewport={"width": 360, "height": 900},
        color_scheme=theme,
        reduced_motion="reduce",
        bypass_csp=True,
    )
    page = context.new_page()
    page.goto(f"{base}/login")
    name = page.get_by_label("Name", exact=True)
    name.wait_for()
    page.evaluate(AXE.read_text())
    assert page_problems(page, 360) == []
    save_shot(page, f"login-forms-360-{theme}")
    name.fill("nobody-of-this-computer")
    page.get_by_label("Password").fill("wrong")
    page.get_by_label("Password").press("Enter")
    expect(page.get_by_text("The name or the password is wrong")).to_be_visible(timeout=30_000)
    assert page_problems(page, 360) == []
    save_shot(page, f"login-forms-refused-360-{theme}")
    before = len(mailbox.mails)
    mail = page.get_by_role("textbox", name=re.compile("[Mm]ail"))
    mail.fill(MEMBER)
    mail.press("Enter")
    expect(page.get_by_text("a link is on its way")).to_be_visible()
    eventually(lambda: len(mailbox.mails) > before, 60)
    page.goto(not_none(re.search(r"http\S+/login#\S+", text_of(mailbox.mails[-1])))[0])
    page.reload()
    page.get_by_role("button", name="Log in with this link").click()
    page.wait_for_url(f"{base}/")
    context.close()
