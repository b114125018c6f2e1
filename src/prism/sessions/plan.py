"""What a browser is called, and at which addresses it keeps a session: pure functions."""

from urllib.parse import urlsplit

BROWSER_NAMES = {  # by the word in its User-Agent; the first that is there counts
    "Edg/": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "CriOS/": "Chrome",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
}
SYSTEM_NAMES = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Mac OS X": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}
LONGEST_BROWSER = 80
SHARED_NAMES = ("localhost", "127.0.0.1", "::1")  # of every program of a computer


def browser_name(user_agent: str) -> str:
    """A browser and its system in words, from what it sends as `User-Agent`."""
    browser = next((name for word, name in BROWSER_NAMES.items() if word in user_agent), None)
    system = next((name for word, name in SYSTEM_NAMES.items() if word in user_agent), None)
    if browser and system:
        return f"{browser} on {system}"
    printable = "".join(c for c in user_agent if c.isascii() and c.isprintable())
    return browser or printable[:LONGEST_BROWSER] or "unknown"


def cookie_problem(host: str, public_url: str) -> str | None:
    """Why a browser cannot keep a session at this `Host`; None if it can."""
    name = urlsplit(f"//{host}").hostname or ""
    public = urlsplit(public_url)
    if host == public.netloc.lower() and public.scheme == "https":
        return None
    if name.endswith(".localhost"):
        return None
    if name in SHARED_NAMES:
        return "other programs of this computer share this address, and would get your session"
    return "the address begins with `http://`, so the network could read your session"
