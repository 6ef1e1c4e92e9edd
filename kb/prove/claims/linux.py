"""A row of linux.yaml in, its claims out."""

from __future__ import annotations

from collections.abc import Iterator

from kb.engine import Knowledge
from kb.prove.claims.claim import Claim
from kb.prove.levels import texts
from kb.terms import LEVELS, Row


def linux_claims(row: Row, knowledge: Knowledge) -> Iterator[Claim]:
    """Each Windows name that a Linux term maps to is a documented routine, a row of a table, or a term of a citation."""
    where = f"linux/{row.id}"
    text = " ".join([*texts(row.citations), *(one.page for one in row.citations)]).lower()

    def known(name: str) -> bool:
        if name in knowledge.ddis or name in LEVELS or name.lower().replace(" ", "-") in text:
            return True
        return name.lower() in text or any(name in other.names for other in knowledge.terms.rows())

    for name in row.more.get("windows") or ():
        yield Claim(where, f"windows {name}", str(name), (f"{name}X",), known)
