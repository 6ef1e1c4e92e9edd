"""facts.yaml and the tables: one meaning a word, levels that exist, conditions made of facts, routines that are documented."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kb.ddis import DdiTable
from kb.question.words import tokenize
from kb.rulebook import load_rules
from kb.terms import KNOWLEDGE, LEVELS, TABLES, Citation, KnowledgeError, Row, load_terms, page_url, rank, read_facts, read_table, read_yaml, text_of

TERMS = load_terms()
DDIS = DdiTable.load()
ROWS = list(TERMS.rows())


def normal(phrase: str) -> tuple[str, ...]:
    """A phrase as the reader of questions compares it."""
    return tuple(token.word for token in tokenize(phrase))


def inner(value: Any, key: str) -> Iterator[Any]:
    """Every value of a key, however deep."""
    if isinstance(value, dict):
        for name, held in value.items():
            if name == key:
                yield held
            yield from inner(held, key)
    elif isinstance(value, (list, tuple)):
        for held in value:
            yield from inner(held, key)


def ranges(row: Row) -> Iterator[tuple[str, dict[str, str]]]:
    """Every IRQL range of a row, with the column it stands in."""
    for column in ("irql", "held", "requires", "release", "allocate"):
        for held in inner({column: row.more.get(column)}, column) if column in row.more else ():
            if isinstance(held, dict) and {"lowest", "highest"} & set(held):
                yield column, held
    for case in row.more.get("cases") or ():
        for column in ("irql", "held", "requires", "release"):
            if column in case:
                yield f"cases.{column}", case[column]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_there_and_ids_are_kebab_case(table: str) -> None:
    rows = TERMS.tables[table]
    assert rows
    for row_id in rows:
        assert row_id == row_id.lower() and " " not in row_id and "_" not in row_id, row_id


@pytest.mark.parametrize("table", TABLES)
def test_no_name_is_claimed_by_two_rows_of_a_table(table: str) -> None:
    owners = defaultdict(set)
    for row in TERMS.tables[table].values():
        for name in row.names:
            owners[name.lower()].add(row.id)
    assert {name: ids for name, ids in owners.items() if len(ids) > 1} == {}


@pytest.mark.parametrize("table", TABLES)
def test_no_phrase_stands_in_two_rows_of_a_table(table: str) -> None:
    owners = defaultdict(set)
    for row in TERMS.tables[table].values():
        for phrase in row.says:
            owners[normal(phrase)].add(row.id)
    assert {" ".join(phrase): ids for phrase, ids in owners.items() if len(ids) > 1} == {}


def test_no_phrase_states_two_values_of_one_fact() -> None:
    twice = []
    for fact in TERMS.facts.values():
        owners = defaultdict(set)
        for value, phrases in fact.values.items():
            for phrase in phrases:
                owners[normal(phrase)].add(value)
        twice += [(fact.name, " ".join(phrase), values) for phrase, values in owners.items() if len(values) > 1]
    assert twice == []


def test_phrases_are_lower_case() -> None:
    said = [(row.table, row.id, phrase) for row in ROWS for phrase in row.says if phrase != phrase.lower()]
    assert said == []


def test_every_level_of_a_row_is_a_level_and_ranges_are_in_order() -> None:
    faults = []
    for row in ROWS:
        for column, held in ranges(row):
            levels = [held[key] for key in ("lowest", "highest") if key in held]
            if not set(levels) <= set(LEVELS):
                faults.append(f"{row.table}/{row.id}: {column}: {levels}")
            elif len(levels) == 2 and rank(levels[0]) > rank(levels[1]):
                faults.append(f"{row.table}/{row.id}: {column}: {levels[0]} is above {levels[1]}")
    assert faults == []


def test_every_allocator_level_is_a_level() -> None:
    faults = []
    for row in TERMS.tables["allocators"].values():
        for column in ("allocate", "release"):
            for memory, limit in (row.more.get(column) or {}).items():
                if memory == "with":
                    continue
                if memory not in ("paged", "nonpaged", "any") or limit.get("highest") not in LEVELS or limit.get("lowest", LEVELS[0]) not in LEVELS:
                    faults.append(f"{row.id}: {column}: {memory}: {limit}")
    assert faults == []


def test_every_condition_is_made_of_facts_and_their_values() -> None:
    faults = []
    for row in ROWS:
        conditions = [*inner(row.more, "when"), *([row.more["assume"]] if row.more.get("assume") else [])]
        for condition in conditions:
            for name, wanted in condition.items():
                fact = TERMS.facts.get(name)
                values = [text_of(one) for one in (wanted if isinstance(wanted, list) else [wanted])]
                if fact is None:
                    faults.append(f"{row.table}/{row.id}: unknown fact {name}")
                elif fact.values and not set(values) <= set(fact.values):
                    faults.append(f"{row.table}/{row.id}: {name}: {values} are not all values of it")
    assert faults == []


def test_every_case_can_hold_and_differs_from_the_others() -> None:
    faults = []
    for row in ROWS:
        seen = []
        for case in row.more.get("cases") or ():
            if case["when"] in seen:
                faults.append(f"{row.table}/{row.id}: two cases with {case['when']}")
            seen.append(case["when"])
    assert faults == []


# Macros and members that people write and that have no page of their own; the row's citations document them.
WITHOUT_A_PAGE = frozenset(
    {"IoAcquireRemoveLockEx", "IoReleaseRemoveLockEx", "FsRtlEnterFileSystem", "FsRtlExitFileSystem", "ExInitializeSListHead", "GetScatterGatherList", "PutScatterGatherList", "RxFreePool"}
)


@pytest.mark.parametrize(("table", "columns"), [("locks", ("acquire", "free")), ("objects", ("ddis",)), ("allocators", ("replaced_by", "down_level"))])
def test_every_routine_that_a_table_names_is_documented(table: str, columns: tuple[str, ...]) -> None:
    known = {name for row in TERMS.tables["pool_arguments"].values() for name in row.names}
    missing = [
        f"{row.id}: {column}: {name}"
        for row in TERMS.tables[table].values()
        for column in columns
        for name in row.more.get(column) or ()
        if name not in DDIS and name not in known and name not in WITHOUT_A_PAGE
    ]
    assert missing == []


def test_every_routine_that_frees_is_documented() -> None:
    missing = [f"{row.id}: {name}" for row in TERMS.tables["allocators"].values() for name in (row.more.get("release") or {}).get("with") or () if name not in DDIS and name not in WITHOUT_A_PAGE]
    assert missing == []


OTHER_WINDOWS_NAMES = frozenset({"WdfObjectReference", "VirtualLock", "alloc_text"})  # a macro, a user-mode function, a pragma


def test_every_windows_name_of_a_linux_term_is_known() -> None:
    known = {name.lower() for row in ROWS if row.table != "linux" for name in (*row.names, *row.says)}
    missing = [
        f"{row.id}: {name}"
        for row in TERMS.tables["linux"].values()
        for name in row.more.get("windows") or ()
        if name not in DDIS and name.lower() not in known and name not in WITHOUT_A_PAGE | OTHER_WINDOWS_NAMES and name != name.upper()  # constants and structures
    ]
    assert missing == []


def test_maps_is_a_word_and_not_a_boolean() -> None:
    assert {row.more["maps"] for row in TERMS.tables["linux"].values()} <= {"yes", "partly", "no"}


def test_every_rule_that_a_bug_check_names_exists() -> None:
    rules = {rule.id for rule in load_rules()}
    missing = sorted(
        {f"{row.id}: {name}" for row in TERMS.tables["bugchecks"].values() for name in [*(row.more.get("rules") or ()), *inner(row.more, "rule")] if name not in rules}
    )
    assert missing == []


def test_bug_check_codes_and_subcodes_are_unique() -> None:
    codes = [row.more["code"] for row in TERMS.tables["bugchecks"].values()]
    assert len(codes) == len(set(codes))
    for row in TERMS.tables["bugchecks"].values():
        values = [text_of(sub["value"]) for sub in row.more.get("subcodes") or ()]
        assert len(values) == len(set(values)), row.id
        assert len(row.more["parameters"]) <= 4, row.id


def test_closed_columns_hold_their_own_words() -> None:
    closed = {
        ("locks", "storage"): {"nonpaged", "either"},
        ("locks", "apcs"): {"enabled", "normal_disabled", "all_disabled"},
        ("objects", "storage"): {"nonpaged", "either", "stack_allowed"},
        ("allocators", "gives"): {"paged", "nonpaged", "by_argument", "by_object", "caller_memory"},
        ("routines", "thread"): {"arbitrary", "requester", "system", "any"},
        ("pool_arguments", "pool"): {"paged", "nonpaged"},
    }
    faults = [f"{table}/{row.id}: {column}: {row.more[column]}" for (table, column), words in closed.items() for row in TERMS.tables[table].values() if column in row.more and row.more[column] not in words]
    assert faults == []


def test_every_row_is_cited_and_every_note_is_our_prose() -> None:
    for row in ROWS:
        assert row.citations, row.id
        assert len(row.note) > 20 and row.note.endswith((".", ")", "`")), f"{row.table}/{row.id}: {row.note}"


def test_facts_with_a_default_say_it_in_words() -> None:
    for fact in TERMS.facts.values():
        assert not fact.assume or (fact.assume in fact.values and fact.assuming), fact.name


# Words of the modules.


@pytest.mark.parametrize(("level", "place"), [("PASSIVE_LEVEL", 0), ("APC_LEVEL", 1), ("DISPATCH_LEVEL", 2), ("DIRQL", 3), ("HIGH_LEVEL", 4)])
def test_levels_are_in_the_order_of_wdm_h(level: str, place: int) -> None:
    assert rank(level) == place


def test_order_of_versions_and_of_what_has_none() -> None:
    eight, eight_one = TERMS.order("windows", "8"), TERMS.order("windows", "8.1")
    assert eight is not None and eight_one is not None and eight < eight_one
    assert TERMS.order("memory.pool", "paged") is None
    assert TERMS.order("windows", "95") is None


def test_addresses_of_pages() -> None:
    assert page_url("kernel/x", "part") == "https://learn.microsoft.com/en-us/windows-hardware/drivers/kernel/x#part"
    assert Citation.read({"page": "ddi/wdm/nf-wdm-x"}, "here").url.endswith("/drivers/ddi/wdm/nf-wdm-x")
    assert Citation.read({"url": "https://example.org/x"}, "here").outside


@pytest.mark.parametrize("entry", [{}, {"page": "a", "url": "b"}, {"page": "a", "term": ["x"]}])
def test_malformed_citations_are_refused_with_their_place(entry: dict[str, Any]) -> None:
    with pytest.raises(KnowledgeError, match="locks.yaml: x"):
        Citation.read(entry, "locks.yaml: x")


def test_all_faults_of_a_table_are_reported_together(tmp_path: Path) -> None:
    good = "{id: a, title: t, note: n, citations: [{page: kernel/x}]}"
    (tmp_path / "locks.yaml").write_text(f"- {good}\n- {good}\n- {{id: b, title: t}}\n", encoding="utf-8")
    with pytest.raises(KnowledgeError) as caught:
        read_table(tmp_path / "locks.yaml")
    assert "a: the id is used twice" in str(caught.value)
    assert "b: note, citations missing" in str(caught.value)


def test_a_fact_needs_a_meaning(tmp_path: Path) -> None:
    (tmp_path / "facts.yaml").write_text("- {name: act}\n- {name: x, meaning: m, label: l}\n", encoding="utf-8")
    with pytest.raises(KnowledgeError) as caught:
        read_facts(tmp_path / "facts.yaml")
    assert "act: `meaning` is missing" in str(caught.value) and "unknown keys ['label']" in str(caught.value)


def test_what_is_not_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [1\nb: 2\n", encoding="utf-8")
    with pytest.raises(KnowledgeError, match=r"a\.yaml: not YAML.*line 2"):
        read_yaml(tmp_path / "a.yaml")
    with pytest.raises(KnowledgeError, match="restore it"):
        read_yaml(tmp_path / "b.yaml")


def test_the_knowledge_folder_is_the_one_beside_the_code() -> None:
    assert (KNOWLEDGE / "facts.yaml").is_file()
