"""Rules and tables in, docs/rules, docs/tables and docs/coverage.md out: python -m kb.reference [--check]."""

from __future__ import annotations

import argparse
import functools
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kb.answer.cites import page_title
from kb.engine import OUTSIDE_POOL, Facts, Knowledge, judge, load_knowledge, span
from kb.rulebook import Rule, Test
from kb.terms import KNOWLEDGE, LEVELS, Citation, KnowledgeError, Row, page_url, read_yaml, text_of

DOCS = Path(__file__).resolve().parent.parent / "docs"
WRITTEN = "Written by kb.reference from {source}; edit that, then run `python -m kb.reference`."
COMPARED = {"at_least": "at least", "at_most": "at most", "above": "above", "below": "below"}
SIGNS = {"allowed": "yes", "forbidden": "**no**", "undetermined": "depends"}

# Topics of the index, in the order in which a reader meets them; a rule belongs to the first whose test it passes.
TOPICS: tuple[tuple[str, Callable[[Rule], bool]], ...] = (
    ("Which memory is resident", lambda rule: not rule.verdict and "memory.resident" in rule.then),
    ("Which facts follow from others", lambda rule: not rule.verdict),
    ("Allocating pool", lambda rule: "allocate" in acts(rule)),
    ("Freeing pool", lambda rule: "free" in acts(rule)),
    ("Touching memory", lambda rule: "touch" in acts(rule)),
    ("Calling routines and acquiring locks", lambda rule: bool({"call", "acquire"} & acts(rule))),
    ("Waiting", lambda rule: "wait" in acts(rule)),
    ("Where an object may live", lambda rule: "store" in acts(rule)),
    ("Pageable and executable code", lambda rule: "run" in acts(rule)),
    ("Other", lambda rule: True),
)


def acts(rule: Rule) -> set[str]:
    """The acts that a rule is about."""
    return {value for test in rule.when if test.fact == "act" for value in test.values}


def cell(text: object) -> str:
    """A text as one cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|") or " "


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table as lines."""
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    return lines + ["| " + " | ".join(cell(one) for one in row) + " |" for row in rows]


def page(source: str, title: str, lines: Iterable[str]) -> str:
    """A generated page: where it comes from, its title, its lines."""
    return "\n".join([f"<!-- {WRITTEN.format(source=source)} -->", "", f"# {title}", "", *lines]).rstrip() + "\n"


def named(citation: Citation) -> str:
    """What a reader calls the page of a citation."""
    return page_title(citation.page, citation.url, spellings())


@functools.cache
def spellings() -> dict[str, str]:
    """Every documented routine's name by its lower-case form."""
    return {name.lower(): name for name in load_knowledge().ddis.names()}


def sources(citations: Iterable[Citation]) -> list[str]:
    """Citations as a list with links, each page and section once."""
    lines = {}
    for citation in citations:
        name = named(citation) + (f", {citation.section}" if citation.section else "")
        lines[citation.url] = f"- [{name}]({citation.url})" + (f": {citation.says}" if citation.says else "") + (" (outside the driver documentation)" if citation.outside else "")
    return list(lines.values())


def links(citations: Iterable[Citation], limit: int = 2) -> str:
    """The first citations as short links."""
    found = dict.fromkeys((named(citation), citation.url) for citation in citations)
    return ", ".join(f"[{name}]({url})" for name, url in list(found)[:limit])


def condition(test: Test) -> str:
    """What one line of a `when` demands of its fact."""
    if test.comparison:
        return f"{COMPARED[test.comparison]} `{test.against}`"
    return " or ".join(f"`{value}`" for value in test.values)


def rule_page(rule: Rule) -> str:
    """
    One rule as a page.

    Args:
        rule: From the rule book.

    Returns:
        Title, what it says, why, what to do instead, bug checks, examples, sources.
    """
    lines = [f"Rule `{rule.id}`.", "", "## What it says", "", "When", ""]
    lines += table(("fact", "is"), [(f"`{test.fact}`", condition(test)) for test in rule.when])
    then = f"then it is **{rule.verdict}**." if rule.verdict else "then " + ", ".join(f"`{name}` is `{value}`" for name, value in rule.then.items()) + "."
    lines += ["", then]
    if rule.assume:
        lines += ["", "Where nobody states it, " + ", ".join(f"`{name}` is taken to be `{value}`" for name, value in rule.assume.items()) + "."]
    lines += ["", "## Why", "", rule.rationale]
    if rule.remedy:
        lines += ["", "## What to do instead", "", rule.remedy]
    if rule.bug_checks:
        lines += ["", "## Bug checks", "", ", ".join(f"`{code}`" for code in rule.bug_checks)]
    lines += ["", "## Examples", ""]
    for example in rule.examples:
        waits = f" (waits for {', '.join(f'`{name}`' for name in example.unknown)})" if example.unknown else ""
        lines += [f"- {example.ask} **{example.verdict}**{waits}"]
    return page(f"kb/knowledge/rules/{rule.id}.yaml", rule.title, [*lines, "", "## Sources", "", *sources(rule.citations)])


def rule_index(rules: Sequence[Rule]) -> str:
    """The rules by topic."""
    lines = [f"{len(rules)} rules. What they come to, level by level, is in the [decision table](decision-table.md)."]
    left = list(rules)
    for topic, belongs in TOPICS:
        mine = [rule for rule in left if belongs(rule)]
        left = [rule for rule in left if rule not in mine]
        if mine:
            lines += ["", f"## {topic}", "", *(f"- [{rule.title}]({rule.id}.md)" + (f": {rule.verdict}" if rule.verdict else "") for rule in mine)]
    return page("kb/knowledge/rules/", "The rules by topic", lines)


def judged(use: Facts, knowledge: Knowledge) -> str:
    """The outcome of one use as a cell, with a link to the deciding rule."""
    result = judge(use, knowledge)
    rule = result.steps[-1].rule if result.steps and result.outcome != "undetermined" else ""
    sign = SIGNS[result.outcome]
    return f"[{sign}]({rule}.md)" if rule else f"{sign} on {', '.join(f'`{name}`' for name in result.unknown)}"


def decision_table(knowledge: Knowledge) -> str:
    """
    What is allowed at which IRQL, computed by the engine point by point.

    Args:
        knowledge: Rules and tables.

    Returns:
        The page.
    """

    def at(level: str) -> dict[str, str]:
        return {"irql.lowest": level, "irql.highest": level}

    def grid(columns: Sequence[tuple[str, dict[str, str]]], levels: Sequence[str] = LEVELS, more: Mapping[str, str] | None = None) -> list[str]:
        rows = [[f"`{level}`", *(judged({**at(level), **use, **(more or {})}, knowledge) for _, use in columns)] for level in levels]
        return table(("IRQL", *(name for name, _ in columns)), rows)

    pools = [("paged", {"memory.pool": "paged"}), ("nonpaged", {"memory.pool": "nonpaged"})]
    lines = [
        "Each cell was computed by running the engine on that one point; it links to the rule that decides. Code that can run at several "
        "levels is judged at the highest. An allocation needs a yes for everything that is done with it: allocating, each access, freeing.",
        "",
        "## Pool",
        "",
    ]
    lines += grid([(f"{act} {pool}", {"act": act, **use}) for act in ("allocate", "touch", "free") for pool, use in pools] + [("touch paged, locked", {"act": "touch", "memory.pool": "paged", "memory.locked": "true"})])
    lines += ["", "## Memory that is not from pool: may it be touched?", ""]
    places = {place: knowledge.terms.facts["memory.place"].labels[place] for place in OUTSIDE_POOL}
    lines += grid(
        [(label, {"act": "touch", "memory.place": place}) for place, label in places.items() if place != "stack"]
        + [(f"{places[place]}, locked", {"act": "touch", "memory.place": place, "memory.locked": "true"}) for place in ("user_buffer", "paged_section")]
        + [(f"{places['stack']}, during a wait in {mode}", {"act": "touch", "memory.place": "stack", "wait.mode": value}) for mode, value in (("KernelMode", "kernel"), ("UserMode", "user"))]
    )
    lines += ["", "## Waiting and running", ""]
    lines += grid(
        [
            ("wait that may block", {"act": "wait", "wait.timeout": "nonzero"}),
            ("wait with a zero time-out", {"act": "wait", "wait.timeout": "zero"}),
            ("run pageable code", {"act": "run", "code.pageable": "true"}),
            ("run resident code", {"act": "run", "code.pageable": "false"}),
        ]
    )
    lines += ["", "## In the paging path", "", "Code that serves paging I/O, below `DISPATCH_LEVEL`:", ""]
    lines += grid(
        [("touch paged pool", {"act": "touch", "memory.pool": "paged"}), ("touch nonpaged pool", {"act": "touch", "memory.pool": "nonpaged"}), ("run pageable code", {"act": "run", "code.pageable": "true"})],
        LEVELS[:2],
        {"io.paging": "true"},
    )
    return page("kb/knowledge/ by running kb.engine", "IRQL, act and pool: the decision table", lines)


def levels(entry: object) -> str:
    """A range of IRQL in a table row, in words; empty when there is none."""
    if not isinstance(entry, dict) or "highest" not in entry:
        return ""
    return span(str(entry.get("lowest", LEVELS[0])), str(entry["highest"]))


def when_words(when: Mapping[str, Any]) -> str:
    """A table row's condition in words."""
    return ", ".join(f"`{name}` is {' or '.join(text_of(one) for one in value) if isinstance(value, list) else text_of(value)}" for name, value in when.items())


def cases(row: Row, column: str = "irql") -> str:
    """The narrower cases of a row, with their ranges or whether they allow."""
    found = []
    for case in row.more.get("cases") or ():
        told = levels(case.get(column)) or ("allowed" if case.get("allowed", True) else "not allowed")
        found.append(f"{when_words(case['when'])}: {told}")
    return "; ".join(found)


def limits(row: Row, column: str) -> str:
    """The highest IRQL of an allocation or release, by memory."""
    entry = row.more.get(column) or {}
    return ", ".join((f"{memory}: " if memory != "any" else "") + levels(limit) for memory, limit in entry.items() if memory != "with")


def code(names: Iterable[object], limit: int = 8) -> str:
    """Names in code marks."""
    found = [str(name) for name in names]
    return ", ".join(f"`{name}`" for name in found[:limit]) + (f" and {len(found) - limit} more" if len(found) > limit else "")


def words(value: object) -> str:
    """A closed value as a word for a table."""
    return "" if value is None else {"true": "yes", "false": "no"}.get(text_of(value), text_of(value).replace("_", " "))


def identity(row: Row) -> str:
    """A row's title and names."""
    title = row.title[:1].upper() + row.title[1:]
    names = [name for name in row.names if name not in title]
    return title + (f" ({code(names, 3)})" if names else "")


Columns = Sequence[tuple[str, Callable[[Row], object]]]
TABLE_PAGES: dict[str, tuple[str, Columns]] = {
    "routines": (
        "Routines: where driver code runs",
        (
            ("routine", identity),
            ("IRQL", lambda row: levels(row.more.get("irql"))),
            ("narrower", cases),
            ("thread", lambda row: words(row.more.get("thread"))),
            ("note", lambda row: row.note),
        ),
    ),
    "locks": (
        "Locks and regions: what they do to the IRQL",
        (
            ("lock", identity),
            ("acquire at", lambda row: levels(row.more.get("requires"))),
            ("held at", lambda row: levels(row.more.get("held")) or "unchanged"),
            ("APCs while held", lambda row: words(row.more.get("apcs"))),
            ("may block", lambda row: words(row.more.get("may_wait"))),
            ("pageable memory under it", lambda row: words(row.more.get("paging_allowed"))),
            ("own storage", lambda row: words(row.more.get("storage"))),
        ),
    ),
    "objects": (
        "Objects: where they may live",
        (("object", identity), ("storage", lambda row: words(row.more.get("storage"))), ("cases", cases), ("homes", lambda row: ", ".join(words(place) for place in row.more.get("places") or ())), ("note", lambda row: row.note)),
    ),
    "allocators": (
        "Allocators: which memory, up to which IRQL",
        (
            ("allocator", identity),
            ("gives", lambda row: words(row.more.get("gives"))),
            ("zeroed", lambda row: words(row.more.get("zeroed"))),
            ("allocate", lambda row: limits(row, "allocate")),
            ("free", lambda row: limits(row, "release")),
            ("freed by", lambda row: code((row.more.get("release") or {}).get("with") or (), 3)),
            ("since", lambda row: row.more.get("since", "")),
            ("newer", lambda row: code(row.more.get("replaced_by") or ())),
            ("older Windows", lambda row: code(row.more.get("down_level") or ())),
        ),
    ),
    "pool_arguments": (
        "POOL_FLAGS and POOL_TYPE values",
        (
            ("value", identity),
            ("of", lambda row: f"`{row.more.get('enum')}`"),
            ("pool", lambda row: words(row.more.get("pool"))),
            ("executable", lambda row: words(row.more.get("executable"))),
            ("since", lambda row: row.more.get("since", "")),
            ("note", lambda row: row.note),
        ),
    ),
    "bugchecks": (
        "Bug checks: what was probably done",
        (
            ("code", lambda row: f"`0x{row.more['code']:02X}`"),
            ("name", lambda row: f"`{row.more.get('symbol')}`"),
            ("what it says", lambda row: row.note),
            ("subcodes", lambda row: len(row.more.get("subcodes") or ()) or ""),
            ("rules probably broken", lambda row: ", ".join(f"[{name}](../rules/{name}.md)" for name in row.more.get("rules") or ())),
        ),
    ),
    "linux": (
        "Linux terms and what they are in Windows",
        (("Linux", lambda row: f"`{row.more.get('linux')}`"), ("Windows", lambda row: code(row.more.get("windows") or ())), ("maps", lambda row: words(row.more.get("maps"))), ("the difference that bites", lambda row: row.more.get("difference", ""))),
    ),
    "tools": (
        "Tools: which one shows it",
        (("tool", identity), ("use", lambda row: row.more.get("use", "")), ("limit", lambda row: row.more.get("limit", ""))),
    ),
}


def table_page(name: str, rows: Iterable[Row]) -> str:
    """One knowledge table as a page."""
    title, columns = TABLE_PAGES[name]
    listed = list(rows)
    heads = (*(head for head, _ in columns), "source")
    return page(f"kb/knowledge/{name}.yaml", title, [f"{len(listed)} rows.", "", *table(heads, ([*(read(row) for _, read in columns), links(row.citations)] for row in listed))])


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


def pages(knowledge: Knowledge) -> dict[str, str]:
    """
    Every generated page.

    Args:
        knowledge: Rules and tables.

    Returns:
        Text by path below docs/.

    Raises:
        KnowledgeError: coverage.yaml names something that does not exist.
    """
    found = {f"rules/{rule.id}.md": rule_page(rule) for rule in knowledge.rules}
    found["rules/index.md"] = rule_index(knowledge.rules)
    found["rules/decision-table.md"] = decision_table(knowledge)
    found |= {f"tables/{name}.md": table_page(name, knowledge.terms.tables[name].values()) for name in TABLE_PAGES}
    found["coverage.md"] = coverage_page(read_coverage(), knowledge)
    return found


def stale(written: Mapping[str, str], docs: Path = DOCS) -> list[str]:
    """
    Compare the pages with the files.

    Args:
        written: From `pages`.
        docs: The folder they belong to.

    Returns:
        A line for every file that is missing, differs, or belongs to no rule or table any more.
    """
    lines = []
    for name, text in written.items():
        path = docs / name
        if not path.is_file():
            lines.append(f"docs/{name}: missing")
        elif path.read_text(encoding="utf-8") != text:
            lines.append(f"docs/{name}: differs from what its source gives now")
    for path in sorted([*docs.glob("rules/*.md"), *docs.glob("tables/*.md")]):
        if path.relative_to(docs).as_posix() not in written:
            lines.append(f"docs/{path.relative_to(docs).as_posix()}: belongs to nothing any more")
    return lines


def write(written: Mapping[str, str], docs: Path = DOCS) -> int:
    """Write the pages that changed and remove those that belong to nothing; the number of files touched."""
    changed = 0
    for name, text in written.items():
        path = docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            changed += 1
    for line in stale(written, docs):
        (docs / re.sub(r"^docs/|: belongs.*$", "", line)).unlink()
        changed += 1
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Write or check the pages.

    Args:
        arguments: As typed after `python -m kb.reference`; the process's own when None.

    Returns:
        0; 1 when `--check` finds a stale file or the knowledge is malformed.
    """
    parser = argparse.ArgumentParser(prog="python -m kb.reference", description="Writes docs/rules, docs/tables and docs/coverage.md from the knowledge.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    options = parser.parse_args(arguments)
    try:
        written = pages(load_knowledge())
    except KnowledgeError as error:
        sys.stderr.write(f"kb.reference: {' / '.join(str(error).splitlines())}\n")
        return 1
    if options.check:
        lines = stale(written)
        sys.stdout.write("".join(f"{line}\n" for line in lines) + (f"{len(lines)} stale; run python -m kb.reference\n" if lines else f"{len(written)} pages are up to date.\n"))
        return 1 if lines else 0
    sys.stdout.write(f"{len(written)} pages, {write(written)} changed.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
