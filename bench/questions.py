"""Official pages in, questions with their gold pages out: made from links and names at run time, so no sentence of a page is kept here."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

from ingest.pages import clean, front_matter

SEED = 20261122
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_ABOUT = re.compile(r"[Ff]or (?:more |additional )?information about (.{8,120}?),? see (?:the )?\[([^\]]+)\]\(([^)\s]+)\)")
_TEMPLATES = ("At what IRQL can I call {}?", "{} irql", "Can {} be called at DISPATCH_LEVEL?", "What does {} do?")


@dataclass(frozen=True)
class Question:
    """A question, the pages that answer it, and the page it was taken from, which is never a candidate."""

    kind: str
    text: str
    gold: frozenset[str]
    source: str = ""


def _target(link: str, page: str) -> str:
    """Page id that a link leads to."""
    link = link.split("#")[0].split("?")[0]
    if link.startswith("http"):
        link = re.sub(r"^https?://(?:docs|learn)\.microsoft\.com(?:/[a-z]{2}-[a-z]{2})?", "", link)
    if link.startswith("/windows-hardware/drivers/"):
        return link.removeprefix("/windows-hardware/drivers/").removesuffix(".md").lower()
    if "/" in link[:1] or ":" in link:
        return ""
    parts: list[str] = []
    for part in [*PurePosixPath(page).parent.parts, *PurePosixPath(link).parts]:
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    return "/".join(parts).removesuffix(".md").lower()


def build(pages: Mapping[str, str], each: int = 200) -> list[Question]:
    """
    Make questions from raw pages.

    Args:
        pages: Markdown by page id; gold pages are among them.
        each: How many of each kind at most.

    Returns:
        Kinds `info` (what a link is said to be about), `apimask` (a sentence with the name of the DDI it links left out)
        and `name` (a name in a template), always the same for the same pages.
    """
    info, masked = dict[str, Question](), dict[str, Question]()
    names: dict[str, set[str]] = {}
    titles = {}
    for page, raw in sorted(pages.items()):
        front, body = front_matter(raw)
        titles[page] = clean(" ".join(front.get("title", []))).lower()
        for name in front.get("api_name", [])[:1]:
            if page.startswith("ddi/") and "/nf-" in page:
                names.setdefault(name, set()).add(page)
        if page.startswith("ddi/"):
            continue
        for match in _ABOUT.finditer(body):
            gold, text = _target(match.group(3), page), clean(match.group(1))
            if gold in pages and gold != page and text.lower() not in titles.get(gold, "") and clean(match.group(2)).lower() != text.lower() and "\n" not in text:
                info.setdefault(text, Question("info", text, frozenset({gold}), page))
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])|\n\s*\n", body):
            links = [(words, _target(link, page)) for words, link in _LINK.findall(sentence)]
            ddis = [(words, gold) for words, gold in links if gold.startswith("ddi/") and "/nf-" in gold and gold in pages]
            if len(ddis) == 1 and 60 < len(sentence) < 300 and "|" not in sentence and "#" not in sentence:
                text = clean(sentence.replace(f"[{ddis[0][0]}]", "[which function]"))
                if clean(ddis[0][0]).lower() not in text.lower():
                    masked.setdefault(text, Question("apimask", text, frozenset({ddis[0][1]}), page))
    pick = random.Random(SEED)  # noqa: S311 - a sample
    named = [Question("name", _TEMPLATES[number % len(_TEMPLATES)].format(name), frozenset(gold)) for number, (name, gold) in enumerate(sorted(names.items()))]
    out: list[Question] = []
    for group in (sorted(info.values(), key=lambda q: q.text), sorted(masked.values(), key=lambda q: q.text), named):
        out += pick.sample(group, min(each, len(group)))
    return out


def by_hand(pages: Mapping[str, str]) -> list[Question]:
    """The questions of bench/hand.yaml whose gold pages are among *pages*."""
    rows = yaml.safe_load((Path(__file__).parent / "hand.yaml").read_text(encoding="utf-8"))
    return [Question("hand", row["ask"], frozenset(gold)) for row in rows if (gold := [page for page in row["pages"] if page in pages])]


def one(page: str) -> str:
    """A page under one name, whichever header it stands under: twins count as one."""
    return re.sub(r"^ddi/([^/]+)/(n[a-z])-\1-", r"ddi/\2-", page)


def scores(ranked: list[str], gold: frozenset[str]) -> tuple[float, float, float, float]:
    """Recall@5, recall@10 (a gold page among the first), MRR@10 and nDCG@10 of distinct pages in order; twins count as one."""
    import math

    ranked, gold = list(dict.fromkeys(map(one, ranked))), frozenset(map(one, gold))
    hits = [place for place, page in enumerate(ranked[:10]) if page in gold]
    ideal = sum(1 / math.log2(place + 2) for place in range(min(len(gold), 10)))
    return (
        float(any(place < 5 for place in hits)),
        float(bool(hits)),
        1 / (hits[0] + 1) if hits else 0.0,
        min(1.0, sum(1 / math.log2(place + 2) for place in hits) / ideal),
    )
