"""A row of bugchecks.yaml in, its claims out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from kb.prove.claims.claim import Claim, own_citations, says_number
from kb.prove.levels import texts
from kb.prove.pages import Pages, cited_page
from kb.terms import Citation, Row


def bugcheck_claims(row: Row, pages: Pages | None) -> Iterator[Claim]:
    """
    Code, subcodes and parameter values of a bug check.

    The code stands in the name of the page. A value stands in the terms of its citation, or on the page: in the row of the page's table
    that also holds the terms of the subcode, or beside a word of what the value means.

    Args:
        row: The bug check.
        pages: The corpus; without it the values that only the page carries make no claim.

    Yields:
        The claims.
    """
    where = f"bugchecks/{row.id}"
    code = int(row.more["code"])
    yield Claim(where, "code", hex(code), (hex(code + 1), hex(code ^ 0x10)), lambda value: cited_page(row, f"debugger/bug-check-{value}-") is not None)
    page = cited_page(row, "debugger/bug-check-") or ""
    subcodes = [int(sub["value"]) for sub in row.more.get("subcodes") or ()]
    for sub in row.more.get("subcodes") or ():
        value, cited = int(sub["value"]), own_citations(sub, row)

        def carries(one: str, value: int = value, cited: Sequence[Citation] = cited) -> bool:
            number = int(one, 16)
            if subcodes.count(number) > (1 if number == value else 0) and number != value:
                return False  # two subcodes of one value
            if any(says_number(text, value) for text in texts(cited)):
                return any(says_number(text, number) for text in texts(cited))
            return pages is not None and any(
                says_number(line[:36], number)
                for citation in cited
                for line in pages.rows(citation.page)
                if not line.lstrip("| ").startswith("parameter") and all(pages.reader.plain(term) in line for term in citation.terms)
            )

        if pages is not None or any(says_number(text, value) for text in texts(cited)):
            yield Claim(where, f"subcode {value:#x}", hex(value), (hex(value + 1), hex(value ^ 0x10)), carries)
    for number, parameter in enumerate(row.more.get("parameters") or (), start=1):
        for key, meaning in (parameter.get("values") or {}).items():
            if pages is None:
                continue
            words = [word.lower()[:5] if "_" not in word else word.lower() for word in re.findall(r"[A-Za-z_]{4,}", re.split(r"[:(]", str(meaning))[0])]
            value = int(key)
            sheets = [name for name in pages.raw if name.startswith("debugger/bug-check-")] if str(meaning).startswith("STATUS_") else [page]
            yield Claim(
                where,
                f"parameter {number} value {value:#x}",
                hex(value),
                (hex(value ^ 0x10), hex(value ^ 0x20)),
                stands([line for sheet in sheets for line in pages.rows(sheet)], words),
            )


def stands(lines: Sequence[str], words: Sequence[str]) -> Callable[[str], bool]:
    """Whether a number stands beside these words in one of the lines."""
    return lambda value: any(beside(line, int(value, 16), words) for line in lines)


def beside(line: str, number: int, words: Sequence[str]) -> bool:
    """Whether words of a meaning stand within 120 characters after a number and before the next one; pages write 10 for 0x10."""
    matches = list(re.finditer(r"(?<![\w.])(0x[0-9a-f`]+|\d+)(?![\w.])", line))
    for at, match in enumerate(matches):
        digits = match.group(1).replace("`", "")
        end = min(match.end() + 120, matches[at + 1].start() if at + 1 < len(matches) else len(line))
        if number in (int(digits, 16), int(digits, 16 if digits.startswith("0x") else 10)) and near(line[match.end() : end], words):
            return True
    return False


def near(text: str, words: Sequence[str]) -> bool:
    """Whether a text holds the first of these words, or two of them and a third of them all."""
    count = sum(word in text for word in words)
    return bool(words) and (words[0] in text and count >= len(words) // 3 or count >= max(2, len(words) // 3))
