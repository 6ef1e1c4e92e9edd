"""Code pasted without fences: which lines are code, which are prose."""

from __future__ import annotations

import time

import pytest

from kb.question.pasted import apart
from tests.test_questions import assistant

BODY = "    KeWaitForSingleObject(&g, Executive, KernelMode, FALSE, NULL);\n}"
FUNCTIONS = {
    "brace below": f"VOID MyDpc(PKDPC Dpc, PVOID c, PVOID a, PVOID b)\n{{\n{BODY}",
    "brace on the header": f"static VOID MyDpc(PKDPC Dpc, PVOID c, PVOID a, PVOID b) {{\n{BODY}",
    "parameters in lines of their own": f"VOID\nMyDpc(\n    PKDPC Dpc,   // ours\n    PVOID c,\n    PVOID a, /* unused */\n    PVOID b\n    )\n{{\n{BODY}",
    "annotations and comments above": f"// queued by the ISR (twice)\n_Use_decl_annotations_\n_IRQL_requires_(DISPATCH_LEVEL)\nVOID NTAPI MyDpc(_In_ PKDPC Dpc, PVOID c, PVOID a, PVOID b)\n{{\n{BODY}",
    "a comment before the brace": f"VOID MyDpc(PKDPC Dpc, PVOID c, PVOID a, PVOID b) // for the ISR\n{{\n{BODY}",
    "a method": f"VOID CDevice::MyDpc(PKDPC Dpc, PVOID c, PVOID a, PVOID b)\n{{\n{BODY}",
    "blocks inside": "VOID MyDpc(PKDPC Dpc, PVOID c, PVOID a, PVOID b)\n{\n    if (c) {\n        Foo(c);\n    } else {\n        Bar(c);\n    }\n\n" + BODY,
    "a brace in a string": 'VOID MyDpc(PKDPC Dpc, PVOID c, PVOID a, PVOID b)\n{\n    DbgPrint("}");\n' + BODY,
    "one line": "void MyDpc(PKDPC Dpc, PVOID c, PVOID a, PVOID b) { KeWaitForSingleObject(&g, Executive, KernelMode, FALSE, NULL); }",
}


@pytest.mark.parametrize("code", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_a_function_without_fences_is_code_from_header_to_brace(code: str) -> None:
    prose, snippets = apart(f"It crashes (sometimes), don't know why:\n\n{code}\n\nonly called from MyIsr (see above). ok?")
    assert [snippet.strip() for snippet in snippets] == [code]
    assert prose.split() == "It crashes (sometimes), don't know why: . only called from MyIsr (see above). ok?".split()


def test_functions_and_structures_with_prose_between_are_one_snippet() -> None:
    first, second = FUNCTIONS["brace below"], FUNCTIONS["brace on the header"].replace("MyDpc", "Other")
    head = "EVT_WDF_DPC MyDpc;\n#pragma alloc_text(PAGE, Other)\ntypedef struct _X {\n    KSPIN_LOCK Lock;\n} X, *PX;"
    prose, snippets = apart(f"{head}\n\n{first}\nand the other, which I call at PASSIVE_LEVEL\n{second}\nthanks")
    assert snippets == ("\n".join((head, first, second)),)
    assert prose.replace(".", "").split() == "and the other, which I call at PASSIVE_LEVEL thanks".split()


def test_a_function_that_is_cut_off_ends_with_its_last_line_of_code() -> None:
    prose, snippets = apart("VOID Foo(PVOID c)\n{\n    KeAcquireSpinLock(&l, &irql);\n    ZwClose(h);\n\nwhat is wrong here?")
    assert snippets == ("VOID Foo(PVOID c)\n{\n    KeAcquireSpinLock(&l, &irql);\n    ZwClose(h);",)
    assert prose.replace(".", "").split() == "what is wrong here?".split()


@pytest.mark.parametrize(
    "text",
    [
        "we have a routine (a dpc) {not sure}, can it touch paged pool?",
        "does the routine MyCallback(context pointer) {called at dispatch; sometimes} touch paged memory?",
        "typedef struct _CACHE { FAST_MUTEX M; LIST_ENTRY L; } in paged pool, everything runs passive. fine?",
        "is foo(bar, baz) at DISPATCH_LEVEL {raised} ok; and what of KeFoo(x)?",
        "can KeSetEvent(&e, 0, FALSE); be called here? see https://example.com/page",
    ],
)
def test_prose_with_brackets_and_braces_stays_prose(text: str) -> None:
    assert apart(text) == (text, ())


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("check\n\nVOID F(PDEVCTX c, WDFKEY k)\n{\n    ULONG v;\n    WdfRegistryQueryULong(k, &name, &v);\n}\n\nonly called from EvtDevicePrepareHardware", ""),
        ("check\n\nVOID F(PDEVCTX c, WDFKEY k)\n{\n    ULONG v;\n    WdfRegistryQueryULong(k, &name, &v);\n}\n\nonly called from EvtInterruptDpc", "ddi-called-above-its-maximum"),
        ("VOID Done(WDFUSBPIPE p, WDFMEMORY m, size_t n, WDFCONTEXT c)\n{\n    ZwClose(c);\n}\nok?", "ddi-called-above-its-maximum"),
        ("VOID Mp(NDIS_HANDLE h, PVOID a, PVOID b, PVOID c) {\n    NdisMSleep(500); // short\n}\nok?", "ddi-called-above-its-maximum"),
    ],
)
def test_a_function_without_fences_is_reviewed_with_its_place(text: str, rule: str) -> None:
    answer = assistant().ask(text).to_json()
    assert answer["kind"] == "code"
    assert [finding["rule"] for finding in answer["findings"]] == ([rule] if rule else [])


@pytest.mark.parametrize("piece", ["foo(", "_", "/*", "{", "VOID F(PVOID a) {\n", "_In_(a) ", "\n", "a\n", "struct {", "a b[1] = {", "a::", "'a", "(("])
def test_long_text_is_taken_apart_at_once(piece: str) -> None:
    start = time.perf_counter()
    apart(piece * (20_000 // len(piece)))
    assert time.perf_counter() - start < 2
