"""C headers (or sal.csv, the levels somebody read from them) in, IRQL annotations by routine and condition out."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.ddis.conditions import Condition, read_expression
from ingest.ddis.levels import DIRQL, DISPATCH, HIGH, PASSIVE, Span, mentions


@dataclass(frozen=True)
class Annotated:
    """A routine as a header declares it."""

    name: str
    kind: str
    """function, callback or macro."""
    header: str
    cases: tuple[tuple[Condition, Span], ...]
    effect: str
    """The IRQL after the call, `restores`, or empty."""


def read_sal(path: Path) -> list[Annotated]:
    """
    Read a table of annotations.

    Args:
        path: A CSV with the columns of ../shared/facts/sal.csv.

    Returns:
        The routines with a range or an effect.
    """
    out = []
    with path.open(encoding="utf-8", newline="") as stream:
        for line in csv.DictReader(stream):
            clauses = [part.strip() for part in line["annotation"].split("; ") if part.strip()]
            kind = "function" if line["kind"] == "method" else line["kind"]
            found = _annotated(line["name"], kind, line["header"].rpartition("/")[2].lower(), clauses)
            if found:
                out.append(found)
    return out


def _annotated(name: str, kind: str, header: str, clauses: Iterable[str]) -> Annotated | None:
    """Put the clauses of one routine together: `max(L)`, `min(L)`, `req(L)`, `raises(L)`, `saves...`, `restores...`, `when(C) clause`."""
    bounds: dict[str, tuple[Condition, dict[str, int]]] = {"": (Condition(), {})}
    effect = ""
    for clause in clauses:
        condition = Condition()
        if clause.startswith("when("):
            end = _balanced(clause, 4)
            condition, clause = read_expression(clause[5:end]), clause[end + 1 :].strip()
        kind_, _, rest = clause.partition("(")
        if kind_ in ("max", "min", "req"):
            level = _level(rest.rpartition(")")[0], kind_)
            if level is not None:
                into = bounds.setdefault(condition.text, (condition, {}))[1]
                into[kind_] = level
        elif kind_ == "raises" and not condition.text:
            named = mentions(rest)
            effect = named[0].span.names[0] if named else effect
        elif kind_ in ("restores", "restores_global") and not effect and not condition.text:
            effect = "restores"
    cases = []
    always = bounds[""][1]
    for condition, into in bounds.values():
        if not into:
            continue
        exact = into.get("req")
        low = into.get("min", always.get("min", PASSIVE)) if exact is None else exact
        high = into.get("max", HIGH) if exact is None else exact
        if condition.text == "" and set(into) == {"min"} and len(bounds) > 1:
            continue  # only narrows the conditional cases, which carry it
        if low <= high:
            cases.append((condition, Span(low, high)))
    return Annotated(name, kind, header, tuple(cases), effect) if cases or effect else None


def _level(text: str, kind: str) -> int | None:
    squeezed = text.replace(" ", "")
    if squeezed == "DISPATCH_LEVEL+1":
        return DIRQL
    if squeezed.isdigit():
        number = int(squeezed)
        return number if number <= DISPATCH else DIRQL if number <= 12 else HIGH
    named = mentions(squeezed.replace("-1", " - 1"))
    return (named[0].span.low if kind == "min" else named[0].span.high) if named else None


def _balanced(text: str, start: int) -> int:
    """Index of the parenthesis that closes the one at *start*."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return at
    return len(text) - 1


_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_CLAUSE = {
    "_IRQL_requires_max_": "max", "_IRQL_requires_min_": "min", "_IRQL_requires_": "req", "_IRQL_raises_": "raises",
    "__drv_maxIRQL": "max", "__drv_minIRQL": "min", "__drv_requiresIRQL": "req", "__drv_raisesIRQL": "raises",
    "_IRQL_restores_": "restores", "_IRQL_restores_global_": "restores", "__drv_restoresIRQL": "restores",
}  # fmt: skip
_MARK = re.compile(r"\b(_IRQL_\w+?_|__drv_(?:max|min|requires|raises|restores)IRQL|_When_|__drv_when)\b(?=\s*\(|\s)")
_NAMED = re.compile(r"\b(\w+)\s*\)?\s*\(")
_NOT_NAMES = re.compile(r"^(?:_\w+_|__\w+|DECLSPEC_\w+|if|while|for|switch|return|sizeof|defined|NTSYSAPI|NTKERNELAPI|NTHALAPI|FORCEINLINE|extern|typedef|CONST|VOID|EXTERN_C)$")


def read_headers(source: Path) -> Iterator[Annotated]:
    """
    Read the annotations of C headers.

    Args:
        source: A header or a folder of them.

    Yields:
        Annotated functions and callback typedefs, in the order of the files; a name declared twice is given once.
    """
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.suffix.lower() in (".h", ".hpp", ".c", ".cpp"))
    seen: set[str] = set()
    for path in files:
        for found in read_header(path.read_text(encoding="utf-8", errors="replace"), path.name.lower()):
            if found.name not in seen:
                seen.add(found.name)
                yield found


def read_header(text: str, header: str) -> Iterator[Annotated]:
    """
    Read one header's text.

    Args:
        text: C.
        header: Its name, for the rows.

    Yields:
        Annotated functions and callback typedefs.
    """
    text = _COMMENT.sub(" ", text)
    text = re.sub(r"^[ \t]*#.*?(?<!\\)$", "", text, flags=re.MULTILINE | re.DOTALL)
    for declaration in _declarations(text):
        clauses = list(_clauses(declaration))
        if not clauses:
            continue
        callback = "typedef" in declaration or "_Function_class_" in declaration
        bare = _strip(declaration)
        name = _name(bare, "typedef" in declaration)
        if name is None:
            continue
        found = _annotated(name, "callback" if callback and "typedef" in declaration else "function", header, clauses)
        if found:
            yield found


def _declarations(text: str) -> Iterator[str]:
    """Texts between `;` and `{...}` at the outermost level that hold an IRQL annotation."""
    start = depth = 0
    for match in re.finditer(r"[;{}]", text):
        mark = match[0]
        if mark == "{":
            if depth == 0:
                part = text[start : match.start()]
                if re.search(r'extern\s*"C"\s*$|\bnamespace\b[^;()]*$', part):
                    start = match.end()
                    continue
                if _MARK.search(part):
                    yield part
            depth += 1
        elif mark == "}":
            depth = max(depth - 1, 0)
            start = match.end()
        elif depth == 0:
            part = text[start : match.start()]
            if _MARK.search(part):
                yield part
            start = match.end()


def _clauses(declaration: str, condition: str = "") -> Iterator[str]:
    """The annotation clauses before the parameter list, in the form of sal.csv."""
    at = 0
    while True:
        match = _MARK.search(declaration, at)
        if not match:
            return
        open_ = declaration.find("(", match.end())
        close = _balanced(declaration, open_) if open_ >= 0 and not declaration[match.end() : open_].strip() else match.end()
        inside = declaration[open_ + 1 : close] if close > match.end() else ""
        word = match[1]
        if word in ("_When_", "__drv_when"):
            comma = _comma(inside)
            yield from _clauses(inside[comma + 1 :], inside[:comma].strip())
        elif word in _CLAUSE:
            clause = f"{_CLAUSE[word]}({' '.join(inside.split())})"
            yield f"when({condition}) {clause}" if condition else clause
        at = max(close, match.end())


def _comma(text: str) -> int:
    depth = 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            return at
    return len(text)


def _strip(declaration: str) -> str:
    """A declaration without annotation macros and their arguments."""
    out = declaration
    while True:
        match = re.search(r"\b(?:_[A-Z]\w*_|__\w+|DECLSPEC_\w+|NTDDI_\w+)\s*(\()?", out)
        if not match:
            return out
        end = _balanced(out, match.end() - 1) + 1 if match[1] else match.end()
        out = out[: match.start()] + " " + out[end:]


def _name(bare: str, typedef: bool) -> str | None:
    """The declared name: the identifier before the first parameter list, or inside `(NAME)` / `(*NAME)` of a typedef."""
    pointer = re.search(r"\(\s*(?:[A-Z]+\s+)?\*?\s*(\w+)\s*\)\s*\(", bare)
    if pointer and typedef:
        return pointer[1]
    for match in _NAMED.finditer(bare):
        if not _NOT_NAMES.match(match[1]):
            return match[1]
    return None
