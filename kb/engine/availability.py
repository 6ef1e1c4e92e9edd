"""A Windows version and what is called in, since when that exists out."""

from __future__ import annotations

from kb.engine.knowledge import Knowledge
from kb.engine.records import Step, Value
from kb.engine.words import ddi_citations

SINCE = (
    ("windows 11", "11"),
    ("version 2", "10-2004"),
    ("version 1", "10"),
    ("windows 10", "10"),
    ("windows 8.1", "8.1"),
    ("windows 8", "8"),
    ("windows 7", "7"),
    ("vista", "vista"),
    ("xp", "xp"),
    ("2000", "2000"),
)


def since_of(text: str | None) -> str | None:
    """
    The first Windows version that a page names, as a value of the fact `windows`.

    Args:
        text: Such as `Windows 10, version 2004`, `Available starting with Windows 8.`, or None.

    Returns:
        The value; None when the text names no version.
    """
    lowered = (text or "").lower()
    return next((value for words, value in SINCE if words in lowered), None)


def availability(facts: dict[str, Value], knowledge: Knowledge, steps: list[Step]) -> None:
    """Add `available.since` for a call whose Windows version is stated: from the routine's page, or from the pool argument's row."""
    if "windows" not in facts:
        return
    argument = knowledge.terms.row("pool_arguments", str(facts.get("pool.argument", "")))
    if argument is not None:
        since = since_of(str(argument.more.get("since") or ""))
        if since is not None:
            facts["available.since"] = since
            steps.append(Step(f"pool_arguments/{argument.id}", argument.note, ("pool.argument",), argument.citations, ("available.since",)))
        return
    ddi = knowledge.ddis.find(str(facts.get("ddi", ""))) if facts.get("ddi") else None
    since = since_of(ddi.since) if ddi is not None else None
    if ddi is not None and since is not None:
        facts["available.since"] = since
        steps.append(
            Step(
                f"ddi/{ddi.name}",
                f"`{ddi.name}` is available since {ddi.since}.",
                ("ddi",),
                ddi_citations(ddi, [row for row in ddi.rows if row.section == "requirements"] or ddi.rows),
                ("available.since",),
            )
        )
