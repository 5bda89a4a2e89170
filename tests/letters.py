"""Mails of made-up people, for the tests of the bot."""

from pathlib import Path

ADA = "Ada Author <ada@example.org>"
DIFF = """\
diff --git a/kernel/one.c b/kernel/one.c
--- a/kernel/one.c
+++ b/kernel/one.c
@@ -1,2 +1,3 @@
 int one;
+int new_one;
 int two;
"""
SIGNED = f"Because.\n\nSigned-off-by: {ADA}\n---\n\n"


def letter(
    subject: str,
    *,
    id_: str = "",
    parent: str = "",
    references: str = "",
    body: str = SIGNED + DIFF,
    sender: str = ADA,
    more: str = "",
) -> bytes:
    """A mail."""
    head = f"From: {sender}\nSubject: {subject}\nDate: Mon, 3 Feb 2025 04:05:06 +0100\n"
    head += f"Message-ID: <{id_}@x>\n" if id_ else ""
    head += f"In-Reply-To: <{parent}@x>\n" if parent else ""
    head += f"References: {references}\n" if references else ""
    return f"{head}{more}\n{body}\n".encode()


def mbox(*mails: bytes) -> bytes:
    """Mails in one file, as git and mail readers write it."""
    line = b"From someone@example.org Mon Sep 17 00:00:00 2001\n"
    return b"".join(line + mail + b"\n" for mail in mails)


def thread(count: int, *, version: str = "", prefix: str = "a", parent: str = "") -> list[bytes]:
    """A series with its cover letter, in order."""
    tag = f"PATCH {version}".strip()
    cover = letter(f"[{tag} 0/{count}] A series", id_=f"{prefix}0", parent=parent, body="Hello.")
    return [
        cover,
        *(
            letter(f"[{tag} {n}/{count}] patch {n}", id_=f"{prefix}{n}", parent=f"{prefix}0")
            for n in range(1, count + 1)
        ),
    ]


def save(path: Path, data: bytes) -> Path:
    """Write a file, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
