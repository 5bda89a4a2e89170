"""Links in what a patch says: their form, not whether somebody answers. No I/O in here."""

import re
from urllib.parse import unquote, urlsplit

from harness.submit.message import MSG_ID, Message

_TRAILER = re.compile(r"^(Link|Closes|BugLink|Buglink):[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE)
_URL = re.compile(r"https?://[^\s<>\"]+")
#: What may follow the address in a trailer: a comment, or the mark that the text refers to.
_MARK = re.compile(r"\s+(?:#.*|\[\d+\])$")
#: Archives that find a mail by its id, and where in their paths the id stands.
_ARCHIVES = {
    "lore.kernel.org": 1,
    "lkml.kernel.org": 1,
    "patch.msgid.link": 0,
    "msgid.link": 0,
}
_END = ".,;:!?)]'"


def faults(message: Message) -> tuple[str, ...]:
    """What is wrong with the links of a mail's text, a line each."""
    found = []
    for name, value in _TRAILER.findall(message.text):
        if not _is_url(_MARK.sub("", value.strip())):
            found.append(f"{message.name}: {name}: {value.strip() or 'nothing'} is no single URL")
    for url in _URL.findall(message.text):
        fault = url_fault(url.rstrip(_END))
        if fault:
            found.append(f"{message.name}: {fault}")
    return tuple(found)


def url_fault(url: str) -> str:
    """What is wrong with one URL; empty when it is well."""
    parts = urlsplit(url)
    if not parts.hostname:
        return f"{url} names no host"
    place = _ARCHIVES.get(parts.hostname)
    if place is None:
        return ""
    path = [unquote(part) for part in parts.path.split("/") if part]
    wanted = path[place] if len(path) > place else ""
    if not MSG_ID.fullmatch(wanted):
        return f"{url} leads to no mail: {wanted or 'nothing'!r} is no Message-ID"
    return ""


def _is_url(text: str) -> bool:
    return bool(_URL.fullmatch(text))
