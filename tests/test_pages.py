"""Markdown of the two official repositories and of other places, read into sections."""

from __future__ import annotations

import pytest

from ingest.pages import clean, front_matter, read_page, slug

DDI = """---
UID: NF:wdm.PoolwiseTest
title: PoolwiseTest function (wdm.h)
description: Tests the reader.
req.header: wdm.h
req.irql: <= DISPATCH_LEVEL
req.target-min-winverclnt: Windows 10
req.lib:
api_name:
 - PoolwiseTest
 - _PoolwiseTest
---

## -description

Tests the **reader**.

## -parameters

### -param Wait [in]

Says whether to wait.

### -param Tag

A tag.

## -returns

Nothing.

## -remarks

Call it at IRQL &lt;= DISPATCH_LEVEL.

### Sub heading

More.

## -see-also

[Other](/x/y)
"""


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("**bold** and *thin*", "bold and thin"),
        ("a [link](x.md) and [**Ke** x](/a/(b)/c.md)", "a link and Ke x"),
        ("![picture](a.png)text", "text"),
        ("PAGE\\_SIZE and DISPATCH_LEVEL", "PAGE_SIZE and DISPATCH_LEVEL"),
        ("IRQL &lt;= DISPATCH_LEVEL", "IRQL <= DISPATCH_LEVEL"),
        ("IRQL < DIRQL and > APC_LEVEL", "IRQL < DIRQL and > APC_LEVEL"),
        ("`a<b>*c*` stays", "`a<b>*c*` stays"),
        ("> [!NOTE]\n> Take care.", "Note: Take care."),
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ("<table><tr><td>1</td><td>a <b>b</b></td></tr><tr><td>2</td><td>c</td></tr></table>", "1 | a b\n2 | c"),
        (':::no-loc text="Sleep"::: now', "Sleep now"),
        (':::image type="content" source="a.png" alt-text="b":::', ""),
        ("2 * 3 * 4", "2 * 3 * 4"),
    ],
)
def test_clean(raw: str, read: str) -> None:
    assert clean(raw) == read


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Using Spin Locks: An Example", "using-spin-locks-an-example"),
        ("`!pool` and **more**", "pool-and-more"),
        ("IRQL_NOT_LESS parameters", "irql_not_less-parameters"),
        ("A - B", "a---b"),
    ],
)
def test_slug(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor


def test_front_matter_survives_values_that_are_not_yaml() -> None:
    front, body = front_matter('---\ntitle: a: b [c\nlist:\n - x\n - \'y\'\nkeywords: ["p", "q"]\n---\nbody')
    assert front["title"] == ["a: b [c"]
    assert front["list"] == ["x", "y"]
    assert front["keywords"] == ["p", "q"]
    assert body == "body"
    assert front_matter("--- not closed\ntext") == ({}, "--- not closed\ntext")


def test_a_ddi_page_has_sections_parameters_and_requirements() -> None:
    page = read_page("ddi/wdm/nf-wdm-poolwisetest", DDI, "https://x/y", "ddi", "s")
    sections = {section.slug: section for section in page.sections}
    assert list(sections) == ["description", "parameters", "returns", "remarks", "sub-heading", "requirements"]
    assert sections["parameters"].blocks == ["Wait [in]\nSays whether to wait.", "Tag\nA tag."]
    assert sections["remarks"].blocks == ["Call it at IRQL <= DISPATCH_LEVEL."]
    assert sections["sub-heading"].parents == ("remarks",)
    assert "IRQL: <= DISPATCH_LEVEL." in sections["requirements"].blocks[0]
    assert "Minimum supported client: Windows 10." in sections["requirements"].blocks[0]
    assert "Library" not in sections["requirements"].blocks[0]
    assert page.names == ("PoolwiseTest", "_PoolwiseTest")


def test_a_docs_page_opens_with_its_introduction() -> None:
    page = read_page(
        "kernel/x", "\ufeff---\ntitle: T\ndescription: About x.\n---\n# The title\nIntro.\n\n## Remarks\nA.\n## Remarks\nB.\n".lstrip("\ufeff"), "https://x", "page", "s"
    )
    assert page.title == "The title"
    assert [(section.slug, section.anchor, section.blocks) for section in page.sections] == [
        ("", "", ["About x.", "Intro."]),
        ("remarks", "remarks", ["A."]),
        ("remarks", "remarks-1", ["B."]),
    ]


def test_a_hash_in_code_is_no_heading() -> None:
    page = read_page("a", "# T\n```c\n# define X\n\nint y;\n```\ntail", "u", "page", "s")
    assert page.sections[0].blocks == ["```c\n# define X\n\nint y;\n```", "tail"]


def test_includes_are_resolved_or_dropped() -> None:
    raw = "# T\n[!INCLUDE [a](../includes/a.md)]\n\n[!include[b](missing.md)]\nEnd."
    page = read_page("a", raw, "u", "page", "s", {"../includes/a.md": "---\nx: y\n---\nIncluded."}.get)
    assert page.sections[0].blocks == ["Included.", "End."]


def test_names_come_from_titles() -> None:
    assert read_page("a", "# Bug check 0x000000D1: DRIVER_IRQL_NOT_LESS_OR_EQUAL\ntext", "u", "page", "s").names == ("0xd1", "DRIVER_IRQL_NOT_LESS_OR_EQUAL")


@pytest.mark.parametrize("raw", ["", "---", "---\n---", "#", "# ", "```", "|", "<table>", "[!INCLUDE [a](a.md)]", "\x00", "## -param", "> [!", "*" * 5000, "[" * 3000])
def test_nothing_crashes_the_reader(raw: str) -> None:
    for kind in ("page", "ddi"):
        read_page("a", raw, "u", kind, "s", lambda _: raw)
