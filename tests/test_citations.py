"""Every citation's terms stand together in its section of its page. Skipped, and said so, without the corpus."""

from __future__ import annotations

import warnings

import pytest
import yaml

from kb.rulebook import load_rules
from kb.terms import KNOWLEDGE, TABLES, load_terms, read_yaml
from tests import corpus

FILES = sorted([*(KNOWLEDGE / f"{table}.yaml" for table in TABLES), *KNOWLEDGE.glob("rules/*.yaml"), *KNOWLEDGE.glob("articles/*.md")])


def cited() -> list[tuple[str, corpus.Citation]]:
    """Every citation of the knowledge with the file and row where it stands."""
    found = []
    for path in FILES:
        entry = yaml.load(path.read_text(encoding="utf-8").split("---\n", 2)[1], Loader=yaml.CSafeLoader) if path.suffix == ".md" else read_yaml(path)
        found += corpus.citations_in(entry, path.name)
    return found


CITED = cited()


@pytest.mark.slow  # the archives are read whole: half a minute
def test_every_citation_stands_on_its_page() -> None:
    if not corpus.available():
        pytest.skip(f"NOT CHECKED: {len(CITED)} citations; the pages are not at {corpus.ARCHIVES.name}/ (KB_CORPUS names an unpacked copy)")
    pages = corpus.read_pages({citation.page.lower() for _, citation in CITED if citation.page})
    known: dict[tuple[object, ...], str | None] = {}
    faults = []
    for where, citation in CITED:
        if not citation.page:
            continue
        key = (citation.page, citation.section, citation.terms)
        if key not in known:
            known[key] = corpus.check(citation, pages)
        if known[key]:
            faults.append(f"{where}: {known[key]}")
    assert faults == []


def test_every_citation_has_terms_and_our_own_words() -> None:
    assert [(where, citation.page) for where, citation in CITED if citation.page and not citation.terms] == []
    assert [(where, citation.url) for where, citation in CITED if not citation.says] == []


def test_a_source_outside_the_documentation_is_marked_and_counted() -> None:
    outside = [(where, citation.url) for where, citation in CITED if citation.outside]
    assert all(url.startswith("https://") for _, url in outside)
    assert [where for where, citation in CITED if bool(citation.page) == citation.outside] == []
    assert outside, "the Linux articles rest on public pages"
    print(f"\n{len(CITED)} citations, {len(outside)} of them outside the driver documentation ({len({url for _, url in outside})} addresses)")


def test_no_rule_rests_on_a_source_outside_the_documentation() -> None:
    assert [rule.id for rule in load_rules() if all(citation.outside for citation in rule.citations)] == []


def test_every_table_row_but_those_of_linux_is_in_the_documentation() -> None:
    rows = [f"{row.table}/{row.id}" for row in load_terms().rows() if row.table not in ("linux",) and all(citation.outside for citation in row.citations)]
    assert rows == []


# The checker itself: it must find what is wrong.

PAGE = """---
title: A page
req.irql: <= APC_LEVEL
---
# A page

The introduction speaks of [paged](x.md) *pool*.

## Rules

- At DISPATCH\\_LEVEL use nonpaged pool.
- Elsewhere use paged pool.
"""


@pytest.mark.parametrize(
    ("section", "terms", "fault"),
    [
        (None, ("paged pool",), None),
        ("rules", ("DISPATCH_LEVEL", "nonpaged"), None),
        ("requirements", ("<= apc_level",), None),
        ("rules", ("DISPATCH_LEVEL", "Elsewhere"), "do not stand in one paragraph"),
        ("rules", ("swap",), "nowhere in it: ['swap']"),
        ("remarks", ("paged",), "has no section 'remarks'"),
    ],
)
def test_the_checker(section: str | None, terms: tuple[str, ...], fault: str | None) -> None:
    found = corpus.check(corpus.Citation("kernel/a", section, terms), {"kernel/a": PAGE})
    assert found is None if fault is None else found is not None and fault in found


def test_the_checker_misses_no_page() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert corpus.check(corpus.Citation("kernel/b", None, ("x",)), {}) == "page kernel/b is not in the corpus"
