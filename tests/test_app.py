"""The page without a browser: what is shown of an answer, what is escaped, what is refused, and the addresses beside the chat."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import app
from kb.answer import Answer, Cited, Finding
from kb.engine import Verdict
from kb.index import FORMAT, GENERATIONS, POINTER
from kb.question import Fact, Question
from web import markup
from web.limits import MAX_CODE, MAX_PROSE, too_long
from web.markdown import render

ROOT = Path(__file__).resolve().parent.parent
NASTY = "<script>alert(1)</script><img src=x onerror=alert(1)>"
CITED = Cited(1, "page", "Managing hardware priorities", "https://learn.microsoft.com/x#here", "here", "Code at DISPATCH_LEVEL must not touch pageable memory.", ("DISPATCH_LEVEL", "pageable memory"))


def answer(markdown: str = "**No.** It must be resident. [1]", **parts: object) -> Answer:
    question = parts.pop("question", Question("Can I?", "decision", (), ()))
    verdict = parts.pop("verdict", Verdict(outcome="forbidden", pool="nonpaged_required", max_irql="DISPATCH_LEVEL"))
    return Answer(question=question, verdict=verdict, markdown=markdown, **{"citations": (CITED,), **parts})  # type: ignore[arg-type]


class Tags(HTMLParser):
    """Collects tags, and checks that they are closed in order."""

    VOID = ("br", "img", "meta", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def ids(self) -> list[str]:
        return [attrs["id"] for _, attrs in self.seen if attrs.get("id")]  # type: ignore[misc]


@pytest.mark.parametrize(("outcome", "words"), [("allowed", "Allowed"), ("forbidden", "Not allowed"), ("undetermined", "It depends")])
def test_verdict_is_told_in_words(outcome: str, words: str) -> None:
    page = markup.turn(1, "Can I?", answer(verdict=Verdict(outcome=outcome)))
    assert words in page
    assert page.index(words) < page.index("It must be resident")


def test_refusal_shows_no_verdict() -> None:
    page = markup.turn(1, "What is the weather?", answer("Out of scope.", abstained=True, citations=(), verdict=Verdict()))
    assert "No verdict" in page
    assert "Allowed" not in page and "pw-sources" not in page


def test_marks_link_to_sources() -> None:
    tags = Tags(markup.turn(3, "Can I?", answer("Yes [1], no [2], `a[1]`, [1](https://x.example).")))
    links = [attrs["href"] for tag, attrs in tags.seen if tag == "a" and attrs.get("class") == "pw-cite"]
    assert links == ["#source-3-1"]
    assert "source-3-1" in tags.ids()
    assert len(tags.ids()) == len(set(tags.ids()))


def test_source_shows_passage_with_words_marked() -> None:
    page = markup.source(1, CITED)
    assert "<mark>DISPATCH_LEVEL</mark>" in page and "<mark>pageable memory</mark>" in page
    assert 'href="https://learn.microsoft.com/x#here"' in page and "The page" in page


def test_sources_of_ours_and_from_outside_are_told() -> None:
    ours = markup.source(1, Cited(1, "article", "Choosing a pool", "kb/knowledge/articles/choosing-a-pool.md", "", "Ask who touches it."))
    assert "our own text" in ours and "In our words" in ours and 'href="/articles/choosing-a-pool"' in ours
    outside = markup.source(1, Cited(1, "page", "kernel.org", "https://docs.kernel.org/x", "", "GFP_KERNEL may sleep.", outside=True))
    assert "not in the driver documentation" in outside


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "kb/knowledge/../secret.md", ""])
def test_only_public_and_own_addresses_are_linked(url: str) -> None:
    assert "href" not in markup.source(1, Cited(1, "page", "t", url, "", "x"))


@pytest.mark.parametrize("url", ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html;base64,x", "vbscript:x"])
def test_markdown_links_only_to_http(url: str) -> None:
    assert "href" not in render(f"[x]({url})")


def test_everything_foreign_is_escaped() -> None:
    one = answer(
        f"{NASTY}\n\n```c\n{NASTY}\n```\n\n| {NASTY} |\n| --- |\n| {NASTY} |\n\n![x](https://evil.example/x.png) [1]",
        question=Question(NASTY, "decision", (Fact("irql.highest", NASTY, 0, NASTY), Fact("act", NASTY, 0, "", carried=True)), (), carried=("act", "irql.highest", NASTY)),
        citations=(Cited(1, "page", NASTY, f'https://x.example/"{NASTY}', NASTY, NASTY, ("alert", "<img")),),
        findings=(Finding(NASTY, 1, NASTY, NASTY),),
        ask_back=NASTY,
        choices=(NASTY, '"><script>'),
        notice=NASTY,
    )
    for asked in (NASTY, f"{NASTY}\nx = 1;\n{NASTY}", f"```\n{NASTY}\n```\n{NASTY}"):
        seen = Tags(markup.turn(1, asked, one)).seen
        assert not [tag for tag, _ in seen if tag in ("script", "img", "iframe", "style")]
        assert not [name for _, attrs in seen for name in attrs if name.startswith("on")]


def test_ask_back_has_a_button_a_choice_and_stands_once() -> None:
    page = markup.turn(1, "Can I?", answer("It depends.\n\n**At what IRQL?**", ask_back="At what IRQL?", choices=("At `DISPATCH_LEVEL`", "Lower"), citations=()))
    assert [attrs["data-ask"] for tag, attrs in Tags(page).seen if tag == "button" and "data-ask" in attrs] == ["At `DISPATCH_LEVEL`", "Lower"]
    assert page.split('<div class="pw-answer">')[1].count("<p>At what IRQL?</p>") == 1
    assert "<strong>At what IRQL?</strong>" not in page


def test_findings_name_and_mark_their_lines() -> None:
    page = markup.turn(2, "Is this right?\n```c\nKeAcquireSpinLock(&l, &i);\nExAllocatePool2(f, 1, 't');\n```", answer(findings=(Finding("paged-pool", 2, "Paged pool under `l`.", "Use another."),)))
    tags = Tags(page)
    assert "line-2-2" in tags.ids()
    assert [attrs["class"] for _, attrs in tags.seen if attrs.get("id", "").startswith("line-")] == ["pw-line", "pw-line pw-marked"]  # type: ignore[union-attr]
    assert 'href="#line-2-2"' in page and "Is this right?" in page


def test_copy_keeps_the_citations() -> None:
    copied = next(attrs["data-copy"] for tag, attrs in Tags(markup.turn(1, "Can I?", answer())).seen if "data-copy" in attrs)
    assert copied == "> Can I?\n\n**No.** It must be resident. [1]\n\nSources:\n[1] Managing hardware priorities: https://learn.microsoft.com/x#here\n"


def test_notice_and_carried_facts_are_shown() -> None:
    question = Question("And if I lock it?", "decision", (Fact("memory.pool", "paged", None, "paged pool", carried=True),), (), carried=("memory.pool",))
    page = markup.turn(1, "And if I lock it?", answer("Yes. [1]\n\n*Carried over from before: `memory.pool`.*", question=question, notice="There is no passage index."))
    assert "There is no passage index." in page
    assert page.count("Carried over") == 2  # once shown, once in what is copied
    assert "memory.pool = paged" in page


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "Type a question"), ("  \n", "Type a question"), (None, "Type a question"), ("x" * MAX_PROSE, ""), ("x" * (MAX_PROSE + 1), "4,000"),
        ("a = 1;\n" + "x" * (MAX_CODE - 7), ""), ("a = 1;\n" + "x" * (MAX_CODE - 6), "12,000"),
    ],
)
def test_length_is_checked(text: object, fault: str) -> None:
    assert (fault in too_long(text)) if fault else too_long(text) == ""


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


PAIRS = [
    (text, ground) for ground in ("bg", "panel", "sunk") for text in ("text", "soft", "accent", "bad", "open", "key", "string", "comment", "number")
] + [("good", "good-soft"), ("bad", "bad-soft"), ("open", "open-soft"), ("none", "none-soft"), ("accent", "accent-soft"), ("on-accent", "accent"), ("mark-text", "mark"), ("soft", "accent-soft"), ("text", "accent-soft")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("pair", PAIRS, ids=" on ".join)
def test_contrast(scheme: str, pair: tuple[str, str]) -> None:
    blocks = re.findall(r"\{([^}]*)\}", (ROOT / "web" / "style.css").read_text(encoding="utf-8"))
    block = next(block for block in blocks if f"color-scheme: {scheme};" in block)
    colors = dict(re.findall(r"--pw-([\w-]+): (#[0-9a-f]{6})", block))
    one, two = sorted((luminance(colors[pair[0]]), luminance(colors[pair[1]])), reverse=True)
    assert (one + 0.05) / (two + 0.05) >= 4.5


def test_port_in_use_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert app.main(["--port", str(taken.getsockname()[1])]) == 1
    told = capsys.readouterr().err
    assert "Choose another port" in told and "Traceback" not in told


@pytest.mark.parametrize("arguments", [["--port", "x"], ["--port", "70000"], ["--nonsense"]])
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        app.main(arguments)
    assert exit.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_help_needs_no_heavy_library() -> None:
    code = "import sys, app\ntry:\n    app.main(['--help'])\nexcept SystemExit: pass\nprint([name for name in ('gradio', 'torch', 'chromadb', 'fastapi') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "--index" in done.stdout and done.stdout.strip().endswith("[]")


@pytest.mark.parametrize(
    ("manifest", "built"),
    [(None, True), ({"format": 0, "sources": {"knowledge": 9}}, True), ({"format": 0, "sources": {"knowledge": 9, "ours": 3}}, False), ({"format": FORMAT, "sources": {"knowledge": 9}}, False)],
    ids=["none", "old", "old with a source of the user", "current"],
)
def test_index_is_built_only_when_nothing_is_lost(manifest: dict | None, built: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr("ingest.__main__.main", lambda arguments: calls.append(arguments) or 0)
    if manifest is not None:
        (tmp_path / GENERATIONS / "000001").mkdir(parents=True)
        (tmp_path / GENERATIONS / "000001" / "manifest.json").write_text(json.dumps(manifest))
        (tmp_path / POINTER).write_text("000001")
    app.build_default_index(tmp_path)
    assert calls == ([["--index", str(tmp_path)]] if built else [])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory):
    from fastapi.testclient import TestClient

    from kb.chain import Assistant
    from web.server import build

    return TestClient(build(Assistant.open(tmp_path_factory.mktemp("index")), chat=False), base_url="http://127.0.0.1:7860")


def test_health_and_ready(client) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json()["rules"] > 10


def test_ask_over_http(client) -> None:
    got = client.post("/api/ask", json={"question": "Can my DPC routine read a buffer that I allocated from paged pool?"})
    assert got.status_code == 200
    assert got.json()["verdict"]["outcome"] == "forbidden"
    assert set(map(int, re.findall(r"\[(\d+)\](?!\()", got.json()["answer"]))) == {cited["n"] for cited in got.json()["citations"]}


def test_a_conversation_over_http(client) -> None:
    got = client.post("/api/ask", json={"turns": [{"user": "Can my DPC routine read a buffer that I allocated from paged pool?"}, {"user": "And from a work item?"}]}).json()
    assert [one["verdict"]["outcome"] for one in got["answers"]] == ["forbidden", "allowed"]


@pytest.mark.parametrize("body", ["", "{", "[]", "1", "{}", '{"question": 3}', '{"question": ""}', '{"turns": []}', '{"turns": 3}', '{"turns": [{}]}', json.dumps({"question": "x" * 5000}), "[" * 100_000])
def test_bad_requests_are_explained(client, body: str) -> None:
    got = client.post("/api/ask", content=body)
    assert got.status_code == 400
    assert len(got.json()["error"]) > 10


def test_other_hosts_are_refused(client) -> None:
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 400


def test_pages_may_not_reach_other_machines(client) -> None:
    for path in ("/health", "/rules", "/no-such-page"):
        assert "connect-src 'self'" in client.get(path).headers["content-security-policy"]


def test_rules_can_be_read(client) -> None:
    page = client.get("/rules").text
    names = re.findall(r'href="/rules/([a-z0-9-]+)"', page)
    assert len(names) == len(set(names)) > 10
    for name in names:
        one = client.get(f"/rules/{name}")
        assert one.status_code == 200
        Tags(one.text.replace("<!doctype html>", ""))
    assert client.get("/rules/no-such-rule").status_code == 404
    assert client.get("/articles/choosing-a-pool").status_code == 200
    assert client.get("/articles/no-such-article").status_code == 404


def test_a_folded_part_is_a_details_element_and_its_title_is_data() -> None:
    """What an answer folds is folded in the page; no other tag of the text is."""
    from web.markdown import render

    page = render("One.\n\n<details><summary>More <b>x</b></summary>\n\n**Two** [1]\n\n</details>\n\n<script>alert(1)</script>", {1: ("source-1", "T")})
    assert page.count("<details") == 1 and "<summary>More &lt;b&gt;x&lt;/b&gt;</summary>" in page and "<strong>Two</strong>" in page
    assert "<script>" not in page
