"""A row in that says where a lock or object may live, the claim out."""

from __future__ import annotations

import re

from kb.prove.claims.claim import Claim
from kb.prove.levels import texts
from kb.terms import Row

RESIDENT = re.compile(
    r"paged pool safely|non-?\s?paged|resident|non-?pageable|system[- ]space|must not be pageable|DISPATCH_LEVEL|extension|allocates the storage|system-allocated|kernel stack",
    re.I,
)
EITHER = re.compile(
    r"paged or non-?paged|nonpaged\w* or paged|paged lookaside list or|paged or nonpaged lookaside|(?<!non)(?<!non-)paged (memory )?pool(?! safely)|(?<!non)(?<!not )(?<!access )(?<!cannot be )pageable|type of (pool|memory)|"
    r"block itself is nonpaged|tree is nonpaged|\bPagedPool|nonpaged pool \| IRQL <=|must be resident \| IRQL >=|copy of|PASSIVE_LEVEL \| system thread|NotificationStructure",
    re.I,
)
"""Words that admit pageable memory, if only below a level."""
DEMAND = re.compile(
    r"must (always )?(be|reside|remain|provide|allocate)[^|]*(non-?paged|resident|nonpageable)|must allocate|resident storage|only accepts|should not|resident at all|nonpaged system|(kernel|local|thread) stack|the stack",
    re.I,
)
"""Words that admit nothing but resident memory."""


def storage_claim(where: str, row: Row) -> Claim:
    """Where an object or lock may live: `either` needs a citation that admits pageable memory, `nonpaged` one that demands residency, `stack_allowed` one that names the stack."""
    cited = texts(citation for citation in row.citations if citation.section != "requirements")
    value = str(row.more["storage"])
    admits = [
        text
        for text in cited
        if EITHER.search(text) and not re.search(r"fatal|will not|always memory|references to pageable", text) and (not DEMAND.search(text) or re.search(r"IRQL (>=|=|<=|>)", text))
    ]
    demands = [text for text in cited if RESIDENT.search(text)]

    def carries(storage: str) -> bool:
        if storage == "stack_allowed":
            return any("stack" in text.lower() for text in cited)
        return bool(admits) if storage == "either" else bool(demands) and not admits

    others = {"nonpaged": ("either",), "either": ("nonpaged",), "stack_allowed": ("either",)}[value]
    return Claim(where, "storage", value, others, carries)
