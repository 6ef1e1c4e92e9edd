"""kb.ddis on the committed tables: levels and conditions of routines that were read by hand, names, near names, contradictions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kb.ddis import COLUMNS, Ddi, DdiTable, contradictions_lines, describe, irql_json, irql_text
from kb.terms import LEVELS, KnowledgeError, rank

PASSIVE, APC, DISPATCH, DIRQL, HIGH = LEVELS
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def table() -> DdiTable:
    """The committed tables."""
    return DdiTable.load()


def found(table: DdiTable, name: str) -> Ddi:
    """The routine of a name that must exist."""
    ddi = table.find(name)
    assert ddi is not None, name
    return ddi


ALWAYS = [
    ("ObDereferenceObject", PASSIVE, DISPATCH),
    ("IoAllocateWorkItem", PASSIVE, DISPATCH),
    ("KeDelayExecutionThread", PASSIVE, APC),
    ("ExAcquireFastMutex", PASSIVE, APC),
    ("ExReleaseFastMutex", APC, APC),
    ("KeReleaseMutex", PASSIVE, DISPATCH),
    ("IoCallDriver", PASSIVE, DISPATCH),
    ("IofCompleteRequest", PASSIVE, DISPATCH),
    ("IoCompleteRequest", PASSIVE, DISPATCH),
    ("KeFlushQueuedDpcs", PASSIVE, PASSIVE),
    ("KeStackAttachProcess", PASSIVE, APC),
    ("PsLookupProcessByProcessId", PASSIVE, APC),
    ("ExInitializeResourceLite", PASSIVE, DISPATCH),
    ("RtlStringCbPrintfW", PASSIVE, PASSIVE),
    ("RtlStringCbPrintfA", PASSIVE, PASSIVE),
    ("RtlStringCbPrintf", PASSIVE, PASSIVE),
    ("KeAcquireSpinLock", PASSIVE, DISPATCH),
    ("KeReleaseSpinLock", DISPATCH, DISPATCH),
    ("KeAcquireSpinLockAtDpcLevel", DISPATCH, HIGH),
    ("ExAcquireSpinLockExclusiveAtDpcLevel", DISPATCH, HIGH),
    ("ZwCreateFile", PASSIVE, PASSIVE),
    ("MmFreeContiguousMemory", PASSIVE, DISPATCH),
    ("IO_COMPLETION_ROUTINE", PASSIVE, DISPATCH),
    ("DRIVER_CANCEL", DISPATCH, DISPATCH),
    ("KSERVICE_ROUTINE", DIRQL, DIRQL),
    ("ExInterlockedInsertHeadList", PASSIVE, HIGH),
]


@pytest.mark.parametrize(("name", "low", "high"), ALWAYS)
def test_level(table: DdiTable, name: str, low: str, high: str) -> None:
    """A routine whose page gives one range."""
    ddi = found(table, name)
    assert (ddi.min, ddi.max) == (low, high)
    assert not any(row.when or row.condition for row in ddi.rows if row.source != "header")


CASES = [
    ("KeWaitForSingleObject", {"wait.timeout=zero": DISPATCH, "wait.timeout=nonzero": APC}),
    ("KeWaitForMultipleObjects", {"wait.timeout=zero": DISPATCH, "wait.timeout=nonzero": APC}),
    ("ZwWaitForSingleObject", {"wait.timeout=zero": DISPATCH, "wait.timeout=nonzero": PASSIVE}),
    ("WdfWaitLockAcquire", {"wait.timeout=zero": APC, "wait.timeout=nonzero": PASSIVE}),
    ("KeSetEvent", {"argument.wait=false": DISPATCH, "argument.wait=true": APC}),
    ("KeReleaseSemaphore", {"argument.wait=false": DISPATCH, "argument.wait=true": PASSIVE}),
    ("ExDeleteTimer", {"argument.wait=false": DISPATCH, "argument.wait=true": APC}),
    ("ExAllocatePool2", {"memory.pool=nonpaged": DISPATCH, "memory.pool=paged": APC}),
    ("ExAllocatePool3", {"memory.pool=nonpaged": DISPATCH, "memory.pool=paged": APC}),
    ("ExAllocatePoolPriorityZero", {"memory.pool=nonpaged": DISPATCH, "memory.pool=paged": APC}),
    ("ExAllocateFromLookasideListEx", {"memory.pool=nonpaged": DISPATCH, "memory.pool=paged": APC}),
    ("ExAllocatePoolWithTag", {"memory.pool=nonpaged": DISPATCH, "memory.pool=paged": APC}),
    ("ExFreePoolWithTag", {"memory.pool=nonpaged": DISPATCH, "memory.pool=paged": APC}),
    ("FltReleaseContext", {"memory.pool=nonpaged": DISPATCH, "memory.pool=paged": APC}),
    ("FltAllocatePoolAlignedWithTag", {"memory.pool=nonpaged": DISPATCH, "memory.pool=paged": APC}),
    ("ExAcquireRundownProtection", {"memory.pool=nonpaged": DISPATCH, "memory.pool=paged": APC}),
    ("WdfMemoryCreate", {"memory.pool=nonpaged": DISPATCH, "memory.pool=paged": APC}),
    ("RtlCopyMemory", {"memory.pool=nonpaged": HIGH, "memory.pool=paged": APC}),
    ("RtlInitUnicodeString", {"memory.pool=nonpaged": DISPATCH, "memory.pool=paged": APC}),
    ("InsertHeadList", {"memory.resident=true": HIGH, "memory.resident=false": APC}),
    ("MmProbeAndLockPages", {"mdl.target=pageable": APC, "mdl.target=resident": DISPATCH}),
    ("MmMapLockedPagesSpecifyCache", {"mapping=kernel": DISPATCH, "mapping=user": APC}),
    ("FltPerformAsynchronousIo", {"io.paging=true": APC, "io.paging=false": PASSIVE}),
    ("EVT_WDF_IO_QUEUE_IO_READ", {"execution.level=dispatch": DISPATCH, "execution.level=passive": PASSIVE}),
    ("KdPrint", {"unicode.conversion=true": PASSIVE, "unicode.conversion=false": DIRQL}),
    (
        "RtlLookupElementGenericTable",
        {"memory.pool=paged": APC, "callback.pageable=true": APC, "callback.pageable=false; memory.pool=nonpaged": DISPATCH},
    ),
    (
        "RtlLookupElementGenericTableAvl",
        {"memory.pool=paged": APC, "callback.pageable=true": APC, "callback.pageable=false; memory.pool=nonpaged": DISPATCH},
    ),
]


@pytest.mark.parametrize(("name", "expected"), CASES)
def test_conditions(table: DdiTable, name: str, expected: dict[str, str]) -> None:
    """A routine whose level depends on facts: every case, and no row without one."""
    rows = [row for row in found(table, name).rows if row.source != "header"]
    assert {"; ".join(f"{fact}={value}" for fact, value in sorted(row.when.items())): row.max for row in rows} == expected


def test_unicode_conversion_narrows_debug_output(table: DdiTable) -> None:
    """DbgPrintEx: DIRQL, and PASSIVE_LEVEL with a Unicode conversion."""
    rows = {tuple(row.when.items()): row.max for row in found(table, "DbgPrintEx").rows}
    assert rows == {(): DIRQL, (("unicode.conversion", "true"),): PASSIVE}


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("KeAcquireSpinLock", DISPATCH),
        ("ExAcquireFastMutex", APC),
        ("KeRaiseIrqlToDpcLevel", DISPATCH),
        ("WdfSpinLockAcquire", DISPATCH),
        ("IoReleaseCancelSpinLock", "restores"),
        ("KeReleaseMutex", None),
        ("KeWaitForSingleObject", None),
        ("ExAcquireFastMutexUnsafe", None),
    ],
)
def test_effect(table: DdiTable, name: str, effect: str | None) -> None:
    """What a call does to the IRQL."""
    assert found(table, name).raises == effect


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("PALLOCATE_COMMON_BUFFER", "called_by_driver"),
        ("GET_SET_DEVICE_DATA", "called_by_driver"),
        ("PFN_WSK_SEND", "called_by_driver"),
        ("DXGKCB_NOTIFY_INTERRUPT", "called_by_driver"),
        ("KeSetEvent", "called_by_driver"),
        ("MINIPORT_ISR", "implemented_by_driver"),
        ("DRIVER_DISPATCH", "implemented_by_driver"),
        ("HW_STARTIO", "implemented_by_driver"),
        ("IOMMU_DEVICE_FAULT_HANDLER", "implemented_by_driver"),
    ],
)
def test_role(table: DdiTable, name: str, role: str) -> None:
    """Who calls it: a callback page alone does not tell."""
    assert found(table, name).role == role


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("kewaitforsingleobject", "KeWaitForSingleObject"),
        ("KeWaitForMutexObject", "KeWaitForSingleObject"),
        ("EvtIoRead", "EVT_WDF_IO_QUEUE_IO_READ"),
        ("PFN_WDF_IO_QUEUE_IO_READ", "EVT_WDF_IO_QUEUE_IO_READ"),
        ("PIO_COMPLETION_ROUTINE", "IO_COMPLETION_ROUTINE"),
        ("RtlCopyBytes", "RtlCopyMemory"),
        (" KeSetEvent() ", "KeSetEvent"),
    ],
)
def test_alias(table: DdiTable, alias: str, name: str) -> None:
    """Other spellings of a routine lead to it."""
    assert found(table, alias).name == name
    assert alias in table


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("ExAlocatePoolWithTag", "ExAllocatePoolWithTag"),
        ("exallocatepool with tag", "ExAllocatePoolWithTag"),
        ("KeWaitForSingleObjectEx", "KeWaitForSingleObject"),
        ("Ke_Set_Event", "KeSetEvent"),
    ],
)
def test_near(table: DdiTable, typed: str, nearest: str) -> None:
    """A name that is none: no record, and the routine meant comes first."""
    assert table.find(typed) is None
    assert table.near(typed)[0] == nearest
    answer = json.loads(irql_json(table, typed))
    assert answer["found"] is False
    assert answer["near"][0] == nearest


@pytest.mark.parametrize("word", ["", "pool", "spin lock", "Cancel", "the", "Context"])
def test_no_prose_is_a_name(table: DdiTable, word: str) -> None:
    """Plain words are no routines."""
    assert table.find(word) is None


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("ExAllocatePoolWithTag", "ExAllocatePool2"),
        ("ExAllocatePoolWithTagPriority", "ExAllocatePool3"),
        ("MmGetSystemAddressForMdl", "MmGetSystemAddressForMdlSafe"),
        ("KeSetEvent", None),
        ("IoCopyCurrentIrpStackLocationToNext", None),
        ("ExAllocatePool2", None),
    ],
)
def test_deprecated(table: DdiTable, name: str, better: str | None) -> None:
    """A routine whose page names its replacement."""
    assert found(table, name).deprecated_by == better


def test_since(table: DdiTable) -> None:
    """The first Windows or framework."""
    assert found(table, "ExAllocatePool2").since == "Windows 10, version 2004"
    assert found(table, "WdfMemoryCreate").since == "KMDF 1.0"


def test_every_page_of_a_name(table: DdiTable) -> None:
    """One answer for a routine with pages under several headers."""
    pages = {page.header for page in found(table, "RtlZeroMemory").pages}
    assert {"wdm.h", "storport.h"} <= pages
    assert found(table, "RtlZeroMemory").page == "ddi/wdm/nf-wdm-rtlzeromemory"


def test_contradictions(table: DdiTable) -> None:
    """Both statements, both places, and which is used."""
    lines = contradictions_lines(table)
    assert lines == sorted(lines)
    zw = [line for line in lines if line.startswith("ZwWaitForSingleObject: ")]
    assert zw and "front matter" in zw[0] and "Remarks" in zw[0]
    flt = next(line for line in lines if line.startswith("FltAllocatePoolAlignedWithTag: "))
    assert "#requirements says <= APC_LEVEL" in flt and "#remarks says <= DISPATCH_LEVEL" in flt and "used: the Remarks" in flt
    stricter = next(line for line in lines if line.startswith("PsGetProcessId: "))
    assert "annotation is stricter: <= DISPATCH_LEVEL" in stricter and "conditional" in stricter
    assert "ZwWaitForSingleObject" in irql_text(found(table, "ZwWaitForSingleObject"))


def test_missing_sign(table: DdiTable) -> None:
    """A bare level that the header has with `<=` or `>=`: the page's row stays, the verdict uses the header's range."""
    ddi = found(table, "UfxDeviceNotifyReset")
    assert [row.span for row in ddi.rows] == [DISPATCH, f"<= {DISPATCH}"]
    assert [row.span for row in ddi.working] == [f"<= {DISPATCH}"]
    assert found(table, "KeShouldYieldProcessor").max == HIGH


def test_json_shape(table: DdiTable) -> None:
    """The keys of contract.md, levels in order, no empty range, no machine path."""
    for name in table.names():
        record = found(table, name).to_json()
        assert set(record) >= {"name", "found", "near", "kind", "pages", "rows", "role", "min", "max", "since", "deprecated_by", "contradictions"}
        assert record["kind"] in ("function", "callback", "macro")
        assert record["role"] in ("called_by_driver", "implemented_by_driver")
        for row in record["rows"]:
            assert set(row) >= {"condition", "min", "max", "source", "page"}
            assert rank(row["min"] or PASSIVE) <= rank(row["max"] or HIGH), name
            assert row["condition"] or not row["when"], name
        for page in record["pages"]:
            assert len(page["raw"]) <= 60


def test_describe() -> None:
    """Ranges in words."""
    assert [describe(*pair) for pair in ((PASSIVE, DISPATCH), (DISPATCH, HIGH), (APC, APC), (PASSIVE, HIGH), (DISPATCH, DIRQL), (None, None))] == [
        "<= DISPATCH_LEVEL", ">= DISPATCH_LEVEL", "APC_LEVEL", "any level", "DISPATCH_LEVEL to DIRQL", "not stated",
    ]  # fmt: skip


def test_bad_rows_are_refused(tmp_path: Path) -> None:
    """A wrong level, source, condition or heading is told with its place and cure."""
    line = "MyRoutine,,function,called_by_driver,my.h,,{when},,{low},DISPATCH_LEVEL,{source},annotation,,,,,,"
    for bad, said in ((("", "LOW", "header"), "not an IRQL"), (("", "", "gossip"), "source 'gossip'"), (("x", "", "header"), "fact=value")):
        table = DdiTable([line.format(when=bad[0], low=bad[1], source=bad[2])])
        with pytest.raises(KnowledgeError, match=said):
            table.find("MyRoutine")
    (tmp_path / "ddis.csv").write_text("name,min\n", encoding="utf-8")
    with pytest.raises(KnowledgeError, match="heading"):
        DdiTable.load(tmp_path)


def test_extra_table(tmp_path: Path) -> None:
    """A team's own routine becomes known; a page the built-in table has is not told twice."""
    own = tmp_path / "team.csv"
    lines = [",".join(COLUMNS), "AcmeQueueWork,,function,called_by_driver,acme.h,,,,PASSIVE_LEVEL,DISPATCH_LEVEL,header,annotation,,,,,,"]
    lines.append("KeSetEvent,,function,called_by_driver,wdm.h,ddi/wdm/nf-wdm-kesetevent,,,PASSIVE_LEVEL,HIGH_LEVEL,page,requirements,,,,,,x")
    own.write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = DdiTable.load(extra=[own])
    assert found(table, "acmequeuework").max == DISPATCH
    assert found(table, "KeSetEvent").max == DISPATCH


def test_finding_a_routine_needs_no_heavy_library() -> None:
    code = (
        "import sys; from kb.ddis import DdiTable; DdiTable.load().find('KeSetEvent');"
        "print([m for m in ('torch', 'chromadb', 'langchain', 'gradio', 'rapidfuzz') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert out.strip() == "[]"
