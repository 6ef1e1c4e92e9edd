"""A text in, its prose and the code pasted into it out."""

from __future__ import annotations

import re

FENCE = re.compile(r"```[a-zA-Z+]*\n?(.*?)(?:```|\Z)", re.S)
CODE_LINE = re.compile(r"^[ \t]*(?:[\w*]+[ \t]+)*[\w>.\-*\[\]]+[ \t]*(?:=|\().*;[ \t]*(?://.*)?$", re.M)
DECLARATION = re.compile(r"^\s*(?:(?:static|extern|const|volatile|CONST)\s+)*[A-Z_][A-Z0-9_]*\s+\**\w+(?:\s*\[[^\]]*\])?\s*;\s*(?:/[/*].*)?$")  # `EVT_WDF_DPC MyDpc;`
UNREAD = re.compile(r"(?<!:)//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n]){1,4}'", re.S)  # comments and literals; not the // of an address
WORD = r"[A-Za-z_]\w{0,80}(?:::~?\w{1,80})?"
BRACKETED = r"[^;{}?!()]{0,600}(?:\([^;{}?!()]{0,200}\)[^;{}?!()]{0,200}){0,20}"  # what stands between round brackets, with brackets of its own
ANNOTATION = rf"_\w{{1,80}}_(?:\s*\({BRACKETED}\))?"  # SAL, before the return type or after the parameters
HEADER = re.compile(
    rf"(?:^|(?<=:))[ \t]*(?P<before>(?:{ANNOTATION}\s+){{0,8}}(?:{WORD}[ \t*&]{{1,9}}|{WORD}[ \t]*\n[ \t]*(?=\w{{1,80}}\s?\()){{0,5}}?)"
    rf"(?P<name>{WORD})\s?\((?P<takes>{BRACKETED})\)(?:\s+(?:{ANNOTATION}|const|noexcept|override)){{0,6}}\s{{0,200}}\{{",
    re.M,
)
BLOCK = re.compile(
    r"^[ \t]*(?:typedef[ \t]+)?(?:struct|union|enum)\b[^\n;{}()?]{0,200}\{|^[ \t]*(?:\w{1,80}[ \t*]{1,9}){1,5}\w{1,80}[ \t]*\[[^\]\n]{0,80}\][ \t]*=\s*\{", re.M
)  # structures and tables
LEADING = re.compile(r"^\s*(?://|/\*|\*|#|_\w+_\b)|\*/\s*$")  # lines that belong to the function after them
CONTROL = frozenset("if for while switch return sizeof else do catch __except defined".split())
PLAIN = frozenset("void static int long bool unsigned char short extern inline const __inline auto double float".split())


def apart(text: str) -> tuple[str, tuple[str, ...]]:
    """
    Take prose and code apart.

    Args:
        text: What the user typed.

    Returns:
        The prose, and the snippets: what stands in fences, else the functions and, when there are at least two, the lines that look like C.
    """
    snippets = tuple(found.group(1).strip("\n") for found in FENCE.finditer(text))
    if snippets:
        return FENCE.sub(" . ", text), snippets
    spans = regions(text)
    if not spans and len(CODE_LINE.findall(text)) < 2:
        return text, ()
    prose: list[str] = []
    code: list[str] = []
    last = 0
    for start, end in [*spans, (len(text), len(text))]:
        for line in text[last:start].splitlines():
            (code if is_code(line) else prose).append(line)
        if end > start:
            prose.append(" . ")
            code.append(text[start:end])
        last = end
    return "\n".join(prose), ("\n".join(code),)


def is_code(line: str) -> bool:
    """Whether a line outside of functions looks like C, where some code is certain."""
    return bool(CODE_LINE.match(line) or DECLARATION.match(line) or re.match(r"\s*[{}#]", line) or re.search(r"(?<!:)//", line))


def regions(text: str) -> list[tuple[int, int]]:
    """
    Where functions and structures stand: from the header, with the comments and annotations on the lines above it, to the closing brace.

    Args:
        text: Prose with code in it, without fences.

    Returns:
        Start and end of each, in order; none without a statement in any of them, or with structures only: prose asks about those.
    """
    bare = UNREAD.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)
    heads = [one for one in HEADER.finditer(bare) if is_header(one)]
    unclosed = max((line.end() for line in re.finditer(r"[^\n]+", text) if is_code(line.group())), default=0)
    found: list[tuple[int, int]] = []
    functions = False
    for head in sorted([*heads, *BLOCK.finditer(bare)], key=lambda one: one.start()):
        floor = found[-1][1] if found else 0
        if head.start() >= floor:
            end = closing(bare, head.end() - 1) or max(unclosed, head.end())
            functions = functions or head.re is HEADER and ";" in bare[head.start() : end]
            found.append((leading(text, head.start(), floor), end))
    return found if functions else []


def is_header(head: re.Match[str]) -> bool:
    """Whether words before a brace are those of a function rather than prose with something in brackets."""
    before, takes = head.group("before").split(), head.group("takes").strip()
    if {head.group("name"), *before} & CONTROL:
        return False
    each = [one.split() for one in re.sub(r"\([^()]*\)|\[[^\]]*\]|\*", " ", takes).split(",")]
    typed = all(2 <= len(one) <= 6 or one in (["VOID"], ["void"], ["..."]) for one in each) if takes else True
    returns = any(word.isupper() or word in PLAIN or word.startswith("_") for word in (one.strip("*&") for one in before))
    return typed and (returns or not before or len(before) <= 2 and bool(takes)) or returns and all(len(one) == 1 for one in each)


def closing(bare: str, opening: int) -> int:
    """Where a brace is closed, behind the names and the semicolon of a structure; 0 for one that never is."""
    depth = 0
    for found in re.finditer(r"[{}]", bare[opening:]):
        depth += 1 if found.group() == "{" else -1
        if depth == 0:
            end = opening + found.end()
            tail = re.match(r"[ \t]*(?:\*?\w{1,80}(?:[ \t]*,[ \t]*\*?\w{1,80}){0,9})?[ \t]*;", bare[end:])  # `} CONTEXT, *PCONTEXT;`
            return end + (tail.end() if tail else 0)
    return 0


def leading(text: str, start: int, floor: int) -> int:
    """Where the lines begin that belong to a function: comments, pragmas and annotations right above its header."""
    while start > floor:
        above = text.rfind("\n", floor, start - 1) + 1 if text[start - 1] == "\n" else start
        if above == start or not LEADING.search(text[max(above, floor) : start - 1]):
            break
        start = max(above, floor)
    return start
