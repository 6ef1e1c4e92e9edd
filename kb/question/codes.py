"""Bug-check codes and call arguments in a text: numbers in, rows, parameters and facts out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kb.terms import Terms

HEX = r"(?:0x)?[0-9a-fA-F`]+h?"
IS = r"\s*(?:=|:|is equal to|equal to|equals|being|is|was|of|==)?\s*(?:=\s*)?"
PARAMETER = re.compile(r"\b(?:arg(?:ument)?|param(?:eter)?|p)\s*\.?\s*#?([1-4])" + IS + r"(0x[0-9a-fA-F`]+|[0-9a-fA-F`]{8,}|\d+)\b", re.I)
ORDINAL = re.compile(
    r"\b(first|second|third|fourth|1st|2nd|3rd|4th)\s+(?:bug\s*check\s+)?(?:arg(?:ument)?|param(?:eter)?)" + IS + r"(0x[0-9a-fA-F`]+|[0-9a-fA-F`]{8,}|\d+)\b", re.I
)
ORDER = ("first", "second", "third", "fourth", "1st", "2nd", "3rd", "4th")
LIST = re.compile(
    r"\(\s*(0x[0-9a-fA-F`]+|[0-9a-fA-F`]{1,17})\s*,\s*(0x[0-9a-fA-F`]+|[0-9a-fA-F`]{1,17})\s*,\s*(0x[0-9a-fA-F`]+|[0-9a-fA-F`]{1,17})\s*,\s*(0x[0-9a-fA-F`]+|[0-9a-fA-F`]{1,17})\s*\)"
)
BARE_LIST = re.compile(r"\{\s*([0-9a-fA-Fx`]+)\s*,\s*([0-9a-fA-Fx`]+)\s*,\s*([0-9a-fA-Fx`]+)\s*,\s*([0-9a-fA-Fx`]+)\s*\}")
CODE = re.compile(
    r"\b(?:(?:bug\s*check|bugcheck|stop(?:\s*code)?|bsod|verifier|blue\s*screen|stop\s*error|code)\s*[:=(]?\s*(?:code\s*)?(0x[0-9a-fA-F]+|[0-9a-fA-F]{1,3})\b|(?:bug\s*check|crash|blue\s*screen|bsod|stop)(?:s|es|ed|ing)?\s+(?:with|on|is|was|of|code)\s+(?:an?\s+)?(?:code\s+)?(0x[0-9a-fA-F]+|[a-fA-F][0-9][0-9a-fA-F]?|[0-9][a-fA-F]|1[0-9a-fA-F]{2})\b|(0x[0-9a-fA-F]{1,8})\b)",
    re.I,
)

OTHER_NUMBER = re.compile(
    r"\b(id|size|offset|register|value|address|mask|length|bytes?|vendor|device|vid|pid|ven|dev|subsys|rev|revision|irq|vector|bar|port|class|ioctl|flags?|tag|status)\b[\w:= ]*$"
)
BARE = 3  # the group of `CODE` for a number that no word says to be a stop code


@dataclass(frozen=True)
class BugCheck:
    """A stop code that the text names."""

    row: str
    """Id of its row in bugchecks.yaml."""
    parameters: Mapping[int, int]
    """Parameters given, 1 to 4."""
    words: str


def number(text: str) -> int:
    """The value of a number as debuggers print it: 0x and backquotes are understood; without 0x, digits of a parameter list are hexadecimal."""
    bare = text.replace("`", "").lower().removesuffix("h")
    return int(bare.removeprefix("0x"), 16)


def read_bugcheck(text: str, named: list[str], terms: Terms) -> BugCheck | None:
    """
    Find the stop code and its parameters.

    Args:
        text: The question.
        named: Ids of bug-check rows that the text names by symbol.
        terms: The table of bug checks.

    Returns:
        The code, or None when the text names none that the table knows.
    """
    table = terms.tables.get("bugchecks", {})
    by_code = {code_of(row.more.get("code")): row.id for row in table.values()}
    parameters = {
        int(found.group(1)): number(found.group(2)) if found.group(2).lower().startswith("0x") or len(found.group(2)) >= 8 else int(found.group(2), 16)
        for found in PARAMETER.finditer(text)
    }
    for found in (LIST.search(text), BARE_LIST.search(text)):
        if found and not parameters:
            parameters = {place: number(value) for place, value in enumerate(found.groups(), start=1)}
    for found in ORDINAL.finditer(text):
        value = found.group(2)
        parameters.setdefault(ORDER.index(found.group(1).lower()) % 4 + 1, number(value))
    taken = {found.start(2) for found in (*PARAMETER.finditer(text), *ORDINAL.finditer(text))}
    row, words = (named[0], table[named[0]].title) if named else ("", "")
    if not row:
        for found in CODE.finditer(text):
            group = next(place for place in (1, 2, 3) if found.group(place))
            if found.start(group) in taken:
                continue
            lead = text[max(0, found.start(group) - 14) : found.start(group)].lower()
            if group == BARE and (OTHER_NUMBER.search(lead) or re.match(r"\s*bytes", text[found.end() :])):
                continue
            if group == BARE and len(text.split()) > 14 and not parameters and not re.search(r"bug ?check|stop|crash|verifier|bsod|blue ?screen|dump|analyze|fail", text, re.I):
                continue
            if group == BARE and len(found.group(BARE)) < 4 and not re.search(r"bug ?check|stop|crash|verifier|bsod", text, re.I):
                continue  # 0x1 in prose is a number, not a stop code
            value = int(found.group(group).lower().removeprefix("0x") or "0", 16) & 0x0FFFFFFF
            if value in by_code:
                row, words = by_code[value], found.group().strip()
                break
    if not row and parameters:
        for bare in re.finditer(r"\b(?:0x)?([0-9a-fA-F]{1,3})\b", text):
            if bare.start() in taken or re.search(r"(?:arg|param|parameter|p)\w*\s*#?$", text[max(0, bare.start() - 12) : bare.start()], re.I):
                continue
            value = int(bare.group(1), 16)
            if value in by_code and not bare.group().isdecimal() | (len(bare.group(1)) < 2):
                row, words = by_code[value], bare.group()
                break
    return BugCheck(row, parameters, words) if row else None


def code_of(value: object) -> int:
    """A code as YAML gives it: an integer, or text such as `0xD1`."""
    if isinstance(value, int):
        return value
    try:
        return int(str(value), 16)
    except ValueError:
        return -1


def split_arguments(text: str) -> list[str]:
    """Arguments of a call, from the text after its opening parenthesis; nested parentheses stay together."""
    depth, current, out = 0, "", []
    for letter in text:
        if letter in "([{":
            depth += 1
        elif letter in ")]}":
            if depth == 0:
                break
            depth -= 1
        if letter == "," and depth == 0:
            out.append(current.strip())
            current = ""
        else:
            current += letter
    out.append(current.strip())
    return out


def argument_facts(text: str, terms: Terms) -> dict[str, tuple[str, str]]:
    """
    Facts that call expressions in the text state by their arguments.

    Args:
        text: Prose or code.
        terms: `arguments.yaml` and the pool arguments.

    Returns:
        Fact name to (value, the argument as written).
    """
    found: dict[str, tuple[str, str]] = {}
    codes = re.findall(r"(?<![\w%])%[-+0-9.]*(?:l[cs]|w[csZ]|[A-Za-z])\b", text)
    if codes:
        wide = [code for code in codes if re.fullmatch(r"%[-+0-9.]*(?:[CS]|l[cs]|w[csZ])", code)]
        found["unicode.conversion"] = ("true", wide[0]) if wide else ("false", codes[0])
    format_string = re.search(r"\b\w*(?:Print|printf)\w*\s*\([^;\"]*\"([^\"]*)\"", text, re.I)
    if format_string:
        unicode = re.search(r"%[-+ #0-9.*]*(?:[CS]|l[cs]|w[csZ]|ws|wZ)", format_string.group(1))
        found["unicode.conversion"] = ("true" if unicode else "false", format_string.group(1))
    for entry in terms.arguments:
        for call in re.finditer(rf"\b{re.escape(str(entry['ddi']))}\s*\(", text, re.I):
            arguments = split_arguments(text[call.end() :])
            position = int(entry["position"])
            if position < len(arguments):
                written = arguments[position]
                value = entry["values"].get(written) or entry["values"].get(written.upper())
                if value is None and entry["fact"] == "wait.timeout" and re.search(r"zero", written, re.I):
                    value = "zero"
                if value is not None:
                    found[str(entry["fact"])] = (str(value), written)
    return found
