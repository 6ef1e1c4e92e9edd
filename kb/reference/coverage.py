"""coverage.yaml in, the page out that says which rules of Microsoft's analyzers are decided here, and by what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kb.engine import Knowledge
from kb.reference.markdown import page, table
from kb.terms import KNOWLEDGE, KnowledgeError, Row, page_url, read_yaml


def read_coverage(folder: Path = KNOWLEDGE) -> list[dict[str, Any]]:
    """
    The analyzers' rules with what decides them here.

    Returns:
        Entries with `rule`, `tool`, `meaning`, `page`, and `decided` or `left_out`.

    Raises:
        KnowledgeError: An entry lacks a key, or has both or neither of `decided` and `left_out`; all faults together.
    """
    entries: list[dict[str, Any]] = read_yaml(folder / "coverage.yaml")["rules"]
    faults = []
    for entry in entries:
        where = f"coverage.yaml: {entry.get('rule', '?')}"
        missing = [key for key in ("rule", "tool", "meaning", "page") if not entry.get(key)]
        unknown = set(entry) - {"rule", "tool", "meaning", "page", "decided", "left_out", "note"}
        if missing or unknown:
            faults.append(f"{where}: {', '.join([*missing, *sorted(unknown)])}: missing or unknown; use rule, tool, meaning, page, decided, left_out, note")
        if bool(entry.get("decided")) == bool(entry.get("left_out")):
            faults.append(f"{where}: give either `decided` or `left_out`")
    if faults:
        raise KnowledgeError("\n".join(faults))
    return entries


def coverage_page(entries: Sequence[Mapping[str, Any]], knowledge: Knowledge) -> str:
    """Which rules of Microsoft's analyzers are decided here, and by what."""
    decided = [entry for entry in entries if entry.get("decided")]
    after = [entry for entry in decided if all(str(one).startswith("bugchecks/") for one in entry["decided"])]
    before = [entry for entry in decided if entry not in after]
    left = [entry for entry in entries if not entry.get("decided")]

    def analyzer(entry: Mapping[str, Any]) -> str:
        return f"[{entry['rule']}]({page_url(entry['page'])})"

    def by(entry: Mapping[str, Any]) -> str:
        return ", ".join(reference_link(str(one), knowledge) for one in entry["decided"]) + (f". {entry['note']}" if entry.get("note") else "")

    def listed(chosen: Sequence[Mapping[str, Any]]) -> list[str]:
        return table(("analyzer", "rule", "what it checks", "decided here by"), [(entry["tool"], analyzer(entry), entry["meaning"], by(entry)) for entry in chosen])

    lines = [
        f"Microsoft's own analyzers have {len(entries)} rules about IRQL, pool, paging and locks that can be decided from facts stated in a question. "
        f"Of these, {len(before)} are decided here before the code runs, {len(after)} only from the stop that they end in, and {len(left)} are left out.",
        "",
        "## Decided",
        "",
        *listed(before),
        "",
        "## Diagnosed from the stop",
        "",
        *listed(after),
        "",
        "## Left out",
        "",
        *table(("analyzer", "rule", "what it checks", "why it is left out"), [(entry["tool"], analyzer(entry), entry["meaning"], entry["left_out"]) for entry in left]),
    ]
    return page("kb/knowledge/coverage.yaml", "Coverage: the rules of Microsoft's analyzers", lines)


def reference_link(reference: str, knowledge: Knowledge) -> str:
    """
    What `decided` of coverage.yaml names, as a link.

    Args:
        reference: `rules/<id>`, `<table>/<row>`, `bugchecks/<row>#<subcode>` or `ddis/<name>`.
        knowledge: Where it must exist.

    Returns:
        Markdown.

    Raises:
        KnowledgeError: There is no such rule, row, subcode or routine.
    """
    kind, _, name = reference.partition("/")
    name, _, sub = name.partition("#")
    if kind == "rules" and any(rule.id == name for rule in knowledge.rules):
        return f"[{name}](rules/{name}.md)"
    if kind == "ddis":
        ddi = knowledge.ddis.find(name)
        if ddi is not None:
            return f"[`{ddi.name}`]({ddi.pages[0].url})" if ddi.pages and ddi.pages[0].page else f"`{ddi.name}`"
    row = knowledge.terms.row(kind, name)
    if row is not None and (not sub or has_subcode(row, int(sub, 16))):
        shown = f"0x{row.more['code']:02X}" + (f", {sub}" if sub else "") if kind == "bugchecks" else name
        return f"[{kind.rstrip('s').replace('_', ' ')} {shown}](tables/{kind}.md)"
    raise KnowledgeError(f"coverage.yaml: {reference}: does not exist; name a rule, a row or a documented routine")


def has_subcode(row: Row, value: int) -> bool:
    """Whether a bug check's row has this value of its first parameter, alone or in a range."""
    for entry in row.more.get("subcodes") or ():
        wanted = entry["value"]
        for one in wanted if isinstance(wanted, list) else [wanted]:
            low, _, high = str(one).replace("..", "-").partition("-")
            if int(low, 0) <= value <= int(high or low, 0):
                return True
    return False
