"""A row of pool_arguments.yaml in, its claims out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kb.prove.claims.claim import Claim, says_number
from kb.prove.levels import texts
from kb.terms import Row, Terms


def argument_claims(row: Row, terms: Terms) -> Iterator[Claim]:
    """Value and pool of a pool argument."""
    where = f"pool_arguments/{row.id}"
    cited = texts(row.citations)
    if "value" in row.more:
        value = int(str(row.more["value"]), 0)
        computed = enumerated(row, terms)
        yield Claim(
            where,
            "value",
            str(value),
            (str(value + 1), str(value * 2 + 2)),
            lambda one: int(one) == computed if computed is not None else any(says_number(text, int(one)) for text in cited),
        )
    if row.more.get("pool"):
        pool = str(row.more["pool"])

        def carries(one: str) -> bool:
            spoken = [text for text in cited if re.search(r"paged|pageable", text, re.I)]
            resident = [text for text in spoken if re.search(r"non-?_?page", text, re.I)]
            named = " ".join(row.names)
            sure = bool(re.search(r"non_?paged", named, re.I)) if "paged" in named.lower() else bool(resident)
            return bool(spoken) and (one == "nonpaged") == sure

        yield Claim(where, "pool", pool, ("paged" if pool == "nonpaged" else "nonpaged",), carries)


def enumerated(row: Row, terms: Terms) -> int | None:
    """The value of a constant as its cited declaration computes it: `A = 32`, `A = B + 4`, or the one after its predecessor; None without one."""
    name = row.names[0] if row.names else row.id
    rows = {one.names[0]: one for one in terms.tables["pool_arguments"].values() if one.names}
    for text in texts(row.citations):
        exact = re.search(rf"\b{re.escape(name)} = (\w+)(?: \+ (\d+))?", text)
        if exact:
            base = exact.group(1)
            start = int(base) if base.isdigit() else int(str(rows[base].more["value"]), 0) if base in rows else None
            return None if start is None else start + int(exact.group(2) or 0)
        after = re.search(rf"(\w+) = [\w +]+, {re.escape(name)}\b", text)
        if after and after.group(1) in rows:
            return int(str(rows[after.group(1)].more["value"]), 0) + 1
        given = re.search(rf"^{re.escape(name)}:(\d+)$", text)
        if given:
            return int(given.group(1))
        if re.search(rf"enum \w+ \{{ {re.escape(name)}\b", text):
            return 0
    return None
