"""ingest/ddis and ingest/headers.py on small pages and headers of our own, and (slow) the committed table against the corpus."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from ingest.ddis.conditions import read_clause, read_expression
from ingest.ddis.levels import mentions, read_field
from ingest.ddis.pages import read_corpus, read_page
from ingest.ddis.table import Entry, Summary, annotations_in, build, page_entries, to_csv
from ingest.headers import Annotated, read_header, read_sal
from kb.ddis import COLUMNS, describe
from kb.terms import KNOWLEDGE, LEVELS
from tests.corpus import ARCHIVES, available, read_pages, sections

SAL = ARCHIVES.parent / "facts" / "sal.csv"


@pytest.mark.parametrize(
    ("raw", "range_", "bare"),
    [
        ("PASSIVE_LEVEL", "PASSIVE_LEVEL", True),
        ("< = DISPATCH_LEVEL", "<= DISPATCH_LEVEL", True),
        ("<= DISPATCH_ LEVEL", "<= DISPATCH_LEVEL", True),
        ("&lt;=APC_LEVEL", "<= APC_LEVEL", True),
        ("< DISPATCH_LEVEL", "<= APC_LEVEL", True),
        ("Called at IRQL <= DISPATCH_LEVEL.", "<= DISPATCH_LEVEL", True),
        ("DISPATCH_LEVEL (See Remarks section.)", "DISPATCH_LEVEL", False),
        ("Greater than or equal to DISPATCH_LEVEL", ">= DISPATCH_LEVEL", True),
        ("Greater than DISPATCH_LEVEL", ">= DIRQL", True),
        ("PASSIVE_LEVEL or DISPATCH_LEVEL.", "<= DISPATCH_LEVEL", True),
        ("PROFILE_LEVEL  - 1", "DIRQL", True),
        ("Any IRQL.", "any level", True),
        ("_IRQL_requires_max_(APC_LEVEL)", "<= APC_LEVEL", True),
        ("requires_(PASSIVE_LEVEL)", "PASSIVE_LEVEL", True),
        ("Any level as long as target memory is resident", "any level", False),
        ("See Remarks section.", None, False),
        ("_requires_same_", None, False),
        ("_Must_inspect_result_", None, False),
        ("Not applicable", None, False),
        ("", None, False),
    ],
)
def test_field(raw: str, range_: str | None, bare: bool) -> None:
    """Spellings of `req.irql` that are understood."""
    field = read_field(raw)
    assert field.understood
    assert (describe(*field.span.names) if field.span else None) == range_
    assert field.bare == bare


@pytest.mark.parametrize("raw", ["Any level if a GUID is passed in, otherwise PASSIVE_LEVEL.", "MyRoutine", "Wait is TRUE, PASSIVE_LEVEL"])
def test_field_not_understood(raw: str) -> None:
    """A field with conditions or nonsense gives no range and says so."""
    field = read_field(raw)
    assert field.span is None
    assert not field.understood


def test_mentions() -> None:
    """Levels in prose, comparisons included."""
    text = "at IRQL less than or equal to APC_LEVEL, below DISPATCH_LEVEL, at DISPATCH_LEVEL or lower, at any IRQL, at DIRQL"
    assert [describe(*mention.span.names) for mention in mentions(text)] == [
        "<= APC_LEVEL", "<= APC_LEVEL", "<= DISPATCH_LEVEL", "any level", "DIRQL",
    ]  # fmt: skip


def entries(irql: str, remarks: str, name: str = "AcmeDoThing", uid: str = "NF", more: str = "") -> tuple[list[Entry], Summary]:
    """The rows of a small page."""
    title = f"{name} function (acme.h)" if uid == "NF" else f"{name} (acme.h)"
    raw = (
        f"---\nUID: {uid}:acme.{name}\ntitle: {title}\nreq.header: acme.h\nreq.irql: {irql}\n{more}api_name:\n - {name}\n---\n## -description\nText.\n\n## -remarks\n\n{remarks}\n"
    )
    summary = Summary()
    return page_entries(read_page(f"ddi/acme/{uid.lower()}-acme-{name.lower()}", raw), summary), summary


def told(irql: str, remarks: str, **page: str) -> dict[str, str]:
    """Range by condition (facts, or words where no fact says it)."""
    found, _ = entries(irql, remarks, **page)
    return {"; ".join(f"{fact}={value}" for fact, value in entry.when.items()) or entry.condition: describe(*entry.span.names) for entry in found if entry.span}


@pytest.mark.parametrize(
    ("irql", "remarks", "expected"),
    [
        ("PASSIVE_LEVEL", "", {"": "PASSIVE_LEVEL"}),
        ("", "Nothing about levels.", {}),
        ("See Remarks section.", "Callers of **AcmeDoThing** must be running at IRQL &lt;= APC_LEVEL.", {"": "<= APC_LEVEL"}),
        ("See Remarks.", "You can call AcmeDoThing at DISPATCH_LEVEL.", {"": "<= DISPATCH_LEVEL"}),
        (
            "<= DISPATCH_LEVEL (see Remarks section)",
            "Callers of AcmeDoThing can be running at any IRQL if the block is in nonpaged pool. Otherwise, the caller must be running at IRQL <= APC_LEVEL.",
            {"memory.pool=nonpaged": "any level", "memory.pool=paged": "<= APC_LEVEL"},
        ),
        (
            "See Remarks",
            "If *Timeout* = **NULL** or *Timeout* != 0, the caller must be running at IRQL <= APC_LEVEL. If *Timeout* != **NULL** and *Timeout* = 0,"
            " the caller must be running at IRQL <= DISPATCH_LEVEL.",
            {"wait.timeout=nonzero": "<= APC_LEVEL", "wait.timeout=zero": "<= DISPATCH_LEVEL"},
        ),
        (
            "Any level (see Remarks)",
            "If AcmeDoThing is called at IRQL >= DISPATCH_LEVEL, the storage for Head must be resident.",
            {"memory.resident=true": "any level", "memory.resident=false": "<= APC_LEVEL"},
        ),
        (
            "<= DISPATCH_LEVEL (see Remarks)",
            "As long as the block itself is nonpaged, this function can be called at DISPATCH_LEVEL.",
            {"memory.pool=nonpaged": "<= DISPATCH_LEVEL", "memory.pool=paged": "<= APC_LEVEL"},
        ),
        (
            "See Remarks",
            "Callers of AcmeDoThing must be running at IRQL < DISPATCH_LEVEL if either of the following conditions holds:\n\n"
            "- The memory at Table is pageable.\n\n- The CompareRoutine contains pageable code.\n",
            {"memory.pool=paged": "<= APC_LEVEL", "callback.pageable=true": "<= APC_LEVEL"},
        ),
        (
            "See Remarks",
            "Callers of AcmeDoThing must be running at IRQL <= APC_LEVEL for pageable addresses, or at IRQL <= DISPATCH_LEVEL for nonpageable addresses.",
            {"mdl.target=pageable": "<= APC_LEVEL", "mdl.target=resident": "<= DISPATCH_LEVEL"},
        ),
    ],
)
def test_remarks(irql: str, remarks: str, expected: dict[str, str]) -> None:
    """Sentences about the routine itself become rows."""
    assert told(irql, remarks) == expected


@pytest.mark.parametrize(
    "remarks",
    [
        "Callers of AcmeOther must be running at IRQL <= APC_LEVEL.",
        "The callback routine is called at IRQL = DISPATCH_LEVEL.",
        "The driver's DpcForIsr routine runs at DISPATCH_LEVEL.",
        "The port driver calls the timer routine at DISPATCH_LEVEL.",
        "This request must be made at IRQL = PASSIVE_LEVEL.",
        "AcmeDoThing calls AcmeOther, which runs at IRQL = DISPATCH_LEVEL.",
        "Usually, callers are running at IRQL PASSIVE_LEVEL.",
        "If the caller is running at DISPATCH_LEVEL, a work item does the rest.",
        "If the moon is full, callers of AcmeDoThing must be running at IRQL <= APC_LEVEL.",
        "It is best to call AcmeDoThing at IRQL = PASSIVE_LEVEL.",
        "AcmeDoThing cannot be called at DISPATCH_LEVEL.",
        "The code returned by AcmeDoThing must not touch memory at DISPATCH_LEVEL.",
    ],
)
def test_no_leak(remarks: str) -> None:
    """Sentences about others, habits, effects and conditions that are not understood give no row."""
    assert told("See Remarks section.", remarks) == {}
    assert entries("See Remarks section.", remarks)[1].silent == ["ddi/acme/nf-acme-acmedothing"]


def test_callback() -> None:
    """A callback's own sentences count, under the name its page uses for it."""
    more = "ms.keywords: AcmeEvtRead, acme/AcmeEvtRead\n"
    said = "The *AcmeEvtRead* callback function is called at IRQL <= DISPATCH_LEVEL."
    found, _ = entries("See Remarks", said, name="EVT_ACME_READ", uid="NC", more=more)
    assert [(e.role, describe(*e.span.names), e.aliases) for e in found if e.span] == [
        ("implemented_by_driver", "<= DISPATCH_LEVEL", ("AcmeEvtRead", "PEVT_ACME_READ", "PFN_ACME_READ"))
    ]


def test_execution_level() -> None:
    """`unless the execution level is passive` gives both cases."""
    said = "This callback function can be called at IRQL <= DISPATCH_LEVEL, unless the ExecutionLevel member is set to **WdfExecutionLevelPassive**."
    expected = {"execution.level=dispatch": "<= DISPATCH_LEVEL", "execution.level=passive": "PASSIVE_LEVEL"}
    assert told("<= DISPATCH_LEVEL (see Remarks section)", said, name="EVT_ACME_READ", uid="NC") == expected


def test_front_matter_against_remarks() -> None:
    """A bare level stays, a conditional sentence adds its row, and the contradiction names both places."""
    found, _ = entries("PASSIVE_LEVEL", "Callers of AcmeDoThing can be running at any IRQL if the block is in nonpaged pool.")
    assert ("", "PASSIVE_LEVEL") in {("".join(e.when), describe(*e.span.names)) for e in found if e.span}
    clash = next(e.contradiction for e in found if e.contradiction)
    assert "#requirements says PASSIVE_LEVEL" in clash and "#remarks says any level" in clash


def test_effect() -> None:
    """What a lock does to the IRQL; a sentence about its release does not count."""
    found, _ = entries("<= DISPATCH_LEVEL", "AcmeDoThing raises the IRQL to DISPATCH_LEVEL and then takes the lock.")
    assert found[0].effect == "DISPATCH_LEVEL"
    found, _ = entries("<= DISPATCH_LEVEL", "AcmeDoThing raises the IRQL to DISPATCH_LEVEL and restores the IRQL before it returns.")
    assert found[0].effect == ""


def test_old_windows() -> None:
    """What held before some Windows is history, not a case."""
    said = "In Windows Vista and later versions of Windows, this routine can be called at any IRQL. However, in Windows Server 2003 and earlier versions of Windows, this routine must be called at IRQL <= APC_LEVEL."
    found, _ = entries("See Remarks", said)
    assert {(e.until != "", describe(*e.span.names)) for e in found if e.span} == {(False, "any level"), (True, "<= APC_LEVEL")}


@pytest.mark.parametrize(
    ("clause", "when"),
    [
        ("the context was allocated from paged pool", {"memory.pool": "paged"}),
        ("the splay link tree is nonpaged", {"memory.pool": "nonpaged"}),
        ("both buffers are resident", {"memory.resident": "true"}),
        ("Wait is set to FALSE", {"argument.wait": "false"}),
        ("AccessMode is UserMode", {"mapping": "user"}),
        ("it rains", None),
    ],
)
def test_clause(clause: str, when: dict[str, str] | None) -> None:
    """Words of a condition as facts."""
    condition = read_clause(clause)
    assert (dict(condition.when) if condition else None) == when


@pytest.mark.parametrize(
    ("expression", "when"),
    [
        ("(PoolType & PagedPool) != 0", {"memory.pool": "paged"}),
        ("((Flags & POOL_FLAG_PAGED) == 0)", {"memory.pool": "nonpaged"}),
        ("(Timeout == NULL || Timeout->QuadPart != 0)", {"wait.timeout": "nonzero"}),
        ("Wait == TRUE", {"argument.wait": "true"}),
        ("Count > 3", {}),
    ],
)
def test_expression(expression: str, when: dict[str, str]) -> None:
    """`_When_` expressions as facts; what no fact says stays as the expression."""
    condition = read_expression(expression)
    assert dict(condition.when) == when
    assert condition.text


HEADER = """
#define NOISE _IRQL_requires_max_(PASSIVE_LEVEL)
extern "C" {
// _IRQL_requires_max_(HIGH_LEVEL) NTSTATUS Commented(void);
_Must_inspect_result_
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS
AcmeQueueWork(_In_ PVOID Context, _In_opt_ PFN_X Routine);

_When_((PoolType & PagedPool) != 0, _IRQL_requires_max_(APC_LEVEL))
_When_((PoolType & PagedPool) == 0, _IRQL_requires_max_(DISPATCH_LEVEL))
PVOID NTAPI AcmeAllocate(_In_ POOL_TYPE PoolType, _In_ SIZE_T Bytes);

_Acquires_lock_(Lock) _IRQL_saves_global_(OldIrql, Lock) _IRQL_raises_(DISPATCH_LEVEL) _IRQL_requires_min_(PASSIVE_LEVEL)
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID AcmeLock(PACME_LOCK Lock);

__drv_maxIRQL(APC_LEVEL) void AcmeOld(int a);

typedef
_Function_class_(ACME_CALLBACK)
_IRQL_requires_same_
_IRQL_requires_(DISPATCH_LEVEL)
VOID
(NTAPI ACME_CALLBACK)(_In_ PVOID Context);

NTSTATUS Plain(void);
static inline int AcmeInline(int x) { return x; }
_IRQL_requires_max_(PASSIVE_LEVEL) inline int AcmeBody(int x) { if (x) { return 1; } return 0; }
}
"""


def test_header() -> None:
    """Annotations of prototypes, definitions and callback typedefs of a team's own header."""
    found = {one.name: one for one in read_header(HEADER, "acme.h")}
    assert set(found) == {"AcmeQueueWork", "AcmeAllocate", "AcmeLock", "AcmeOld", "ACME_CALLBACK", "AcmeBody"}

    def cases(one: Annotated) -> dict[str, str]:
        return {"; ".join(f"{fact}={value}" for fact, value in c.when.items()): describe(*span.names) for c, span in one.cases}

    assert cases(found["AcmeQueueWork"]) == {"": "<= DISPATCH_LEVEL"}
    assert cases(found["AcmeAllocate"]) == {"memory.pool=paged": "<= APC_LEVEL", "memory.pool=nonpaged": "<= DISPATCH_LEVEL"}
    assert (cases(found["AcmeLock"]), found["AcmeLock"].effect) == ({"": "<= DISPATCH_LEVEL"}, "DISPATCH_LEVEL")
    assert cases(found["AcmeOld"]) == {"": "<= APC_LEVEL"}
    assert (cases(found["ACME_CALLBACK"]), found["ACME_CALLBACK"].kind) == ({"": "DISPATCH_LEVEL"}, "callback")
    lines, _ = build((), found.values())
    assert {line.role for line in lines if line.name == "ACME_CALLBACK"} == {"implemented_by_driver"}


def test_annotations_survive(tmp_path: Path) -> None:
    """A table built anew without sal.csv keeps its header rows."""
    table = tmp_path / "ddis.csv"
    lines, _ = build((), read_header(HEADER, "acme.h"))
    table.write_text(to_csv(lines), encoding="utf-8")
    assert build((), annotations_in(table))[0] == lines
    assert annotations_in(tmp_path / "none.csv") == []


def test_committed_tables_are_tidy() -> None:
    """Both tables: the documented heading, sorted, a reason for every correction that has levels."""
    text = (KNOWLEDGE / "ddis.csv").read_text(encoding="utf-8")
    assert text.startswith(",".join(COLUMNS) + "\n")
    names = [line.partition(",")[0].lower() for line in text.splitlines()[1:]]
    assert names == sorted(names)
    with (KNOWLEDGE / "ddi_corrections.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    reasons = {row["name"] for row in rows if row["reason"]}
    assert [row["name"].lower() for row in rows] == sorted(row["name"].lower() for row in rows)
    assert all(row["source"] == "correction" and row["page"] and (row["section"] or not row["page"].startswith("ddi/")) for row in rows)
    assert not [row["name"] for row in rows if row["max"] and row["name"] not in reasons]


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason="the documentation archives are not under ../shared/corpus")
def test_corrections_cite_real_sections() -> None:
    """Every correction's page has its section."""
    with (KNOWLEDGE / "ddi_corrections.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    pages = read_pages({row["page"] for row in rows})
    assert [row["name"] for row in rows if row["section"] not in sections(pages.get(row["page"], ""))] == []


@pytest.mark.slow
@pytest.mark.skipif(not available() or not SAL.is_file(), reason="the documentation archives or sal.csv are not under ../shared")
def test_committed_table_is_the_corpus() -> None:
    """Extraction gives the committed ddis.csv; a bare level is extracted as it stands; every silent page has been read."""
    source = Path(os.environ.get("KB_CORPUS") or ARCHIVES / "windows-driver-docs-ddi.tar.xz")
    pages = list(read_corpus(source))
    lines, summary = build(pages, read_sal(SAL))
    assert to_csv(lines) == (KNOWLEDGE / "ddis.csv").read_text(encoding="utf-8")
    for line in lines:
        field = read_field(line.raw)
        if line.source == "page" and field.bare and field.span:
            assert line.span == field.span, line.page
    with (KNOWLEDGE / "ddi_corrections.csv").open(encoding="utf-8", newline="") as stream:
        read = {row["name"].lower() for row in csv.DictReader(stream)}
    names = {line.page: line.name.lower() for line in lines if line.page}
    assert [page for page in summary.silent if names[page] not in read] == []
    assert LEVELS[0] == "PASSIVE_LEVEL"
