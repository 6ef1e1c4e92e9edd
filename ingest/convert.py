"""The bytes of a file in, Markdown out, whatever the file's kind; a ConvertError says why not."""

from __future__ import annotations

import io
import re


class ConvertError(ValueError):
    """A file cannot be turned into text; the message is the reason shown in the summary."""


_BEGINS = {".docx": b"PK", ".pdf": b"%PDF"}
_DOC_COMMENT = re.compile(
    r"/\*[*!](?P<block>.*?)\*/[ \t]*\n?(?P<after>[^\n]*(?:\n(?!\s*(?:\n|/\*|//))[^\n]*){0,12})|(?P<lines>(?:^[ \t]*//[/!][^\n]*\n)+)(?P<next>[^\n]*(?:\n(?!\s*(?:\n|/\*|//))[^\n]*){0,12})",
    re.S | re.M,
)


def to_markdown(name: str, data: bytes) -> str:
    """
    Turn a file into Markdown.

    Args:
        name: Its name; the ending tells the kind.
        data: Its bytes.

    Raises:
        ConvertError: It is empty, binary, damaged, or needs a converter that is not installed.
    """
    ending = "." + name.lower().rpartition(".")[2]
    if ending in (".html", ".htm", ".pdf", ".docx"):
        return _convert(data, ending)
    text = decode(data)
    if ending in (".h", ".hpp", ".c", ".cpp", ".cc"):
        return _comments(name, text)
    return text


def decode(data: bytes) -> str:
    """
    Bytes as text: UTF-8 or UTF-16 by their mark, else UTF-8, else Windows-1252.

    Raises:
        ConvertError: They are empty or not text.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\x00" in data[:8192]:
        raise ConvertError("binary, in spite of its ending")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if not text.strip():
        raise ConvertError("empty")
    return text


def _convert(data: bytes, ending: str) -> str:
    if not data.startswith(_BEGINS.get(ending, b"")):
        raise ConvertError(f"{ending} cannot be converted (damaged, or another kind of file)")
    try:
        from markitdown import MarkItDown, StreamInfo
    except ImportError as error:
        raise ConvertError(f"{ending} needs markitdown: pip install 'markitdown[pdf,docx]'") from error
    try:
        text = MarkItDown(enable_plugins=False).convert_stream(io.BytesIO(data), stream_info=StreamInfo(extension=ending)).text_content
    except Exception as error:  # every converter has its own exceptions; one file's must not stop the rest
        raise ConvertError(f"{ending} cannot be converted ({str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__})") from error
    if not text.strip():
        raise ConvertError("no text in it")
    return str(text)


def _comments(name: str, text: str) -> str:
    """Doc comments with the declarations below them, a heading each."""
    parts = [f"# {name.rpartition('/')[2]}"]
    for match in _DOC_COMMENT.finditer(text):
        comment = match.group("block") if match.group("block") is not None else match.group("lines")
        declaration = (match.group("after") if match.group("block") is not None else match.group("next") or "").split("{")[0].strip()
        words = re.sub(r"^[ \t]*(?:\*|//[/!])[ \t]?", "", comment, flags=re.M).strip()
        words = re.sub(r"[@\\](?:brief|details)\s*", "", words)
        words = re.sub(r"[@\\](param|return|returns|note|warning|see)\b(?:\[[^\]]*\])?", r"\n\n\1", words)
        if not words:
            continue
        called = re.search(r"(\w+)\s*\(", declaration) or re.search(r"(\w+)\s*;?\s*$", declaration)
        parts.append(f"## {called.group(1) if called else 'Comment'}\n\n{words}\n" + (f"\n```c\n{declaration}\n```\n" if declaration else ""))
    if len(parts) == 1:
        raise ConvertError("no doc comment in it")
    return "\n\n".join(parts)
