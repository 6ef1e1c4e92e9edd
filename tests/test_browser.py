"""The real page, served by the real program, in headless Chromium: what a user sees and does, from the first question on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = os.environ.get("KB_CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
DPC = "Can my DPC routine read a buffer that I allocated from paged pool?"
OPEN = "Can this function read paged pool?"

if CHROMIUM is None:
    pytest.skip("NO CHROMIUM: install Debian's package chromium, or name a browser in KB_CHROMIUM", allow_module_level=True)

sync_api = pytest.importorskip("playwright.sync_api", reason="NO PLAYWRIGHT: pip install -r requirements-dev.txt")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The program, started as a user starts it, with an index of its own that it builds first."""
    folder = tmp_path_factory.mktemp("app")
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", "0", "--index", str(folder / "index")], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, "KB_LOG": "0", "PYTHONUNBUFFERED": "1"}
        )
        found = None
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"http://[\w.:]+", line)
            if found:
                break
        assert found, f"the program ended: {(folder / 'errors').read_text()[-2000:]}"
        yield found.group()
        process.terminate()
        process.wait(20)
        process.stdout.close()


@pytest.fixture(scope="module")
def playwright():
    with sync_api.sync_playwright() as one:
        yield one


@pytest.fixture
def visit(playwright, address: str, tmp_path: Path):
    """Opens the page for one more user: a browser of its own with an empty profile."""
    opened, faults = [], []

    def go(width: int = 1280, height: int = 900, query: str = "", **options):
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / f"profile-{len(opened)}"), executable_path=CHROMIUM, headless=True, args=FLAGS, viewport={"width": width, "height": height}, **options
        )
        opened.append(context)
        page = context.pages[0]
        page.set_default_timeout(90_000)  # a machine that does other work beside it
        page.on("request", lambda request: faults.append(request.url) if not request.url.startswith((address, "data:", "blob:")) else None)
        page.on("console", lambda told: faults.append(told.text) if "Content Security Policy" in told.text else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{address}/{query}")
        page.wait_for_selector(".pw-empty")
        return page

    yield go
    for context in opened:
        context.close()
    assert not faults, "requests that leave the machine, or errors of scripts"


def ask(page, text: str, number: int = 1) -> str:
    """Type a question, send it with the keyboard, and return the verdict shown."""
    box = page.get_by_role("textbox", name="Your question or code")
    box.fill(text)
    box.press("Enter")
    return answered(page, number)


def answered(page, number: int) -> str:
    page.wait_for_selector(f"#turn-{number} .pw-actions")
    verdict = page.locator(f"#turn-{number} .pw-verdict .pw-chip")
    return verdict.inner_text() if verdict.count() else ""


Visit = Callable[..., object]


def test_question_verdict_source(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    assert "Not allowed" in ask(page, DPC)
    source = page.locator("#turn-1 .pw-sources li").first
    assert not source.is_visible()
    page.locator("#turn-1 a.pw-cite").first.click()
    source.wait_for(state="visible")
    assert source.locator("a").first.get_attribute("href").startswith("https://learn.microsoft.com/")
    assert source.locator("blockquote").inner_text()
    assert page.evaluate("document.activeElement.id") == "source-1-1"
    assert "Not allowed" in page.locator("[role=status].pw-live").text_content()
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.get_by_role("textbox", name="Your question or code").input_value() == ""
    page.screenshot(path=tmp_path / "answer.png")


def test_follow_up_keeps_the_facts(visit: Visit) -> None:
    page = visit()
    ask(page, DPC)
    assert "Allowed" in ask(page, "And from a work item?", 2)
    assert "memory.pool" in page.locator("#turn-2 .pw-carried").inner_text()
    page.get_by_role("button", name="New").click()
    page.wait_for_selector(".pw-empty")
    ask(page, "And from a work item?")
    assert page.locator("#turn-1 .pw-carried").count() == 0


def test_the_question_back_is_answered_with_a_button(visit: Visit) -> None:
    page = visit()
    assert "It depends" in ask(page, OPEN)
    choices = page.locator("#turn-1 .pw-choice")
    assert choices.count() == 2
    chosen = choices.last.inner_text()
    choices.last.focus()
    page.keyboard.press("Enter")
    assert "Not allowed" in answered(page, 2)
    assert chosen in page.locator("#question-2").inner_text()


def test_examples_are_sent_by_a_click(visit: Visit) -> None:
    page = visit()
    assert page.locator(".pw-example").count() == 8
    page.locator(".pw-example").first.click()
    assert "Not allowed" in answered(page, 1)


def test_two_users_never_share_a_conversation(visit: Visit) -> None:
    one, two = visit(), visit()
    ask(one, DPC)
    assert "It depends" in ask(two, OPEN)
    assert "Not allowed" in ask(one, "And if it runs at DISPATCH_LEVEL?", 2)
    ask(two, "And from a work item?", 2)
    assert DPC not in two.locator("#pw-transcript").inner_text()
    assert OPEN not in one.locator("#pw-transcript").inner_text()
    third = visit()
    assert third.locator(".pw-turn").count() == 0


def test_too_long_and_empty_are_refused_before_asking(visit: Visit) -> None:
    page = visit()
    box = page.get_by_role("textbox", name="Your question or code")
    box.fill("x" * 4001)
    box.press("Enter")
    page.get_by_text(re.compile("4,001 characters")).first.wait_for()
    assert page.locator(".pw-turn").count() == 0
    box.fill("   ")
    page.get_by_role("button", name="Ask").click()
    page.get_by_text("Type a question first").first.wait_for()
    assert "Not allowed" in ask(page, DPC)


def test_what_is_typed_is_never_markup(visit: Visit) -> None:
    page = visit()
    text = "<img src=x onerror=\"document.title='hit'\"> <script>document.title='hit'</script> ${value} {{value}} may a DPC touch paged pool?"
    ask(page, text)
    assert page.locator("#question-1").inner_text().endswith(text.replace("  ", " "))
    assert page.title() == "Poolwise"
    assert page.locator("#pw-transcript img").count() == 0


def test_code_is_shown_with_the_lines_found(visit: Visit) -> None:
    page = visit()
    ask(page, "Is this right?\n```c\nVOID MyDpc(KDPC *Dpc, PVOID Context, PVOID A, PVOID B)\n{\n    PVOID p = ExAllocatePool2(POOL_FLAG_PAGED, 64, 'gaTD');\n}\n```")
    lines = page.locator("#turn-1 .pw-numbered .pw-line")
    assert lines.count() == 4
    tops = [line.bounding_box()["y"] for line in lines.all()]
    assert tops == sorted(set(tops)), "each line stands below the one before"
    if page.locator("#turn-1 .pw-where").count():
        page.locator("#turn-1 .pw-where").first.click()
        assert page.locator("#line-1-3.pw-found").count() == 1


def test_the_address_can_carry_a_question(visit: Visit) -> None:
    page = visit(query="?q=May%20a%20DPC%20wait%3F")
    sync_api.expect(page.get_by_role("textbox", name="Your question or code")).to_have_value("May a DPC wait?")


def test_copying_keeps_the_citations(visit: Visit) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    ask(page, DPC)
    page.get_by_role("button", name="Copy with sources").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"> {DPC}") and "\n[1] " in copied and "https://learn.microsoft.com/" in copied


def test_typing_before_the_page_is_settled_is_kept(visit: Visit) -> None:
    page, held = visit(), []
    page.route("**/queue/join*", lambda request: held.append(request))
    page.reload()
    page.wait_for_selector(".pw-empty")
    page.wait_for_timeout(1_000)
    box = page.get_by_role("textbox", name="Your question or code")
    box.fill(DPC)
    assert held, "nothing is asked of the server when the page opens: this test tests nothing"
    for request in held:
        request.continue_()
    page.wait_for_timeout(2_000)
    assert box.input_value() == DPC


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (375, 760)], ids=["wide", "narrow"])
def test_fits_the_screen(visit: Visit, tmp_path: Path, scheme: str, size: tuple[int, int]) -> None:
    page = visit(*size, color_scheme=scheme, reduced_motion="reduce")
    page.screenshot(path=tmp_path / "empty.png")
    ask(page, DPC)
    ask(page, "At what IRQL can I call KeSetEvent?", 2)
    for folded in page.locator("details > summary").all():
        folded.click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    assert (page.evaluate("document.body.classList.contains('dark')")) == (scheme == "dark")
    tall = page.evaluate("[...document.querySelectorAll('#pw-composer button, .pw-choice, .pw-theme')].map(one => one.getBoundingClientRect().height)")
    assert min(tall) >= 24
    page.screenshot(path=tmp_path / "answers.png", full_page=True)
    assert (tmp_path / "answers.png").stat().st_size > 10_000


def test_everything_is_reached_with_the_keyboard(visit: Visit) -> None:
    page = visit()
    ask(page, OPEN)
    reached = set()
    page.locator(".pw-header a").first.focus()
    for _ in range(25):
        reached.add(page.evaluate("document.activeElement.className + ' ' + document.activeElement.tagName + ' ' + document.activeElement.innerText.slice(0, 20)"))
        page.keyboard.press("Tab")
    told = "\n".join(reached)
    for wanted in ("pw-theme", "pw-choice", "SUMMARY", "pw-copy", "TEXTAREA", "Ask", "New"):
        assert wanted in told
