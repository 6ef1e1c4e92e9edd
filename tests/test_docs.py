"""What is written for people agrees with the code: generated pages, commands, variables, the worked answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kb import reference
from kb.__main__ import parser
from kb.answer import Answer
from kb.chain import Assistant
from kb.engine import load_knowledge
from kb.terms import KnowledgeError

ROOT = Path(__file__).resolve().parent.parent
KNOWLEDGE = load_knowledge()
README = ROOT / "README.md"
WORKED = "Can my DpcForIsr read a buffer that I allocated from paged pool in DriverEntry?"
BLOCK = re.compile(r"(?<=<!-- answer -->\n).*?(?=<!-- end of answer -->)", re.S)
WRITTEN = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("docs/*/*.md")])


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """The generated pages as the knowledge gives them now."""
    return reference.pages(KNOWLEDGE)


def test_the_generated_pages_are_up_to_date(written: dict[str, str]) -> None:
    assert reference.stale(written) == [], "run python -m kb.reference"


def test_every_rule_and_every_table_has_its_page(written: dict[str, str]) -> None:
    index = written["rules/index.md"]
    for rule in KNOWLEDGE.rules:
        assert f"({rule.id}.md)" in index
        assert rule.title in written[f"rules/{rule.id}.md"]
    for name, rows in KNOWLEDGE.terms.tables.items():
        assert written[f"tables/{name}.md"].count("\n| ") == len(rows) + 2, name


def test_every_generated_page_says_where_it_comes_from(written: dict[str, str]) -> None:
    for name, text in written.items():
        assert text.startswith("<!-- Written by kb.reference from kb/knowledge/"), name


def test_a_stale_a_missing_and_a_left_over_page_are_found_and_mended(tmp_path: Path, written: dict[str, str]) -> None:
    assert reference.write(written, tmp_path) == len(written) and reference.stale(written, tmp_path) == []
    (tmp_path / "rules" / "index.md").write_text("old", encoding="utf-8")
    (tmp_path / "tables" / "locks.md").unlink()
    (tmp_path / "rules" / "gone.md").write_text("gone", encoding="utf-8")
    assert reference.stale(written, tmp_path) == [
        "docs/rules/index.md: differs from what its source gives now",
        "docs/tables/locks.md: missing",
        "docs/rules/gone.md: belongs to nothing any more",
    ]
    assert reference.write(written, tmp_path) == 3 and reference.stale(written, tmp_path) == []


def test_the_decision_table_says_what_everybody_knows(written: dict[str, str]) -> None:
    lines = written["rules/decision-table.md"].splitlines()
    heads = next(line for line in lines if line.startswith("| IRQL | allocate")).split(" | ")
    at_dispatch = next(line for line in lines if line.startswith("| `DISPATCH_LEVEL`")).split(" | ")
    answers = {head.strip("| "): re.sub(r"\[|\]\(.*", "", cell) for head, cell in zip(heads, at_dispatch, strict=True)}
    assert answers["allocate paged"] == answers["touch paged"] == answers["free paged"] == "**no**"
    assert answers["allocate nonpaged"] == answers["touch nonpaged"] == answers["touch paged, locked"] == "yes"


# Coverage.


def test_everything_that_coverage_names_exists() -> None:
    for entry in reference.read_coverage():
        for one in entry.get("decided") or ():
            reference.reference_link(one, KNOWLEDGE)


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KnowledgeError, match=r"coverage\.yaml: rules/nothing: does not exist"):
        reference.reference_link("rules/nothing", KNOWLEDGE)
    with pytest.raises(KnowledgeError, match="0x7F00"):
        reference.reference_link("bugchecks/driver-verifier-detected-violation#0x7F00", KNOWLEDGE)


def test_coverage_is_whole_and_names_no_rule_twice() -> None:
    entries = reference.read_coverage()
    assert len({(entry["tool"], entry["rule"]) for entry in entries}) == len(entries) == 153
    left = [entry for entry in entries if entry.get("left_out")]
    assert len(left) <= 10 and all(entry["left_out"].endswith(".") for entry in left)


def test_a_documented_routine_that_coverage_names_has_a_limit() -> None:
    open_ended = set()
    for entry in reference.read_coverage():
        for one in entry.get("decided") or ():
            kind, _, name = one.partition("/")
            ddi = KNOWLEDGE.ddis.find(name) if kind == "ddis" else None
            if ddi is not None and ddi.max is None:
                open_ended.add(name)
    assert open_ended == set()


# Written by hand.


def test_every_command_and_option_is_in_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    commands = next(action for action in parser()._actions if action.dest == "command").choices
    assert isinstance(commands, dict)
    for name in set(commands) - {"thresholds"}:  # for maintainers
        assert f"python -m kb {name}" in text, name


def test_every_environment_variable_is_in_the_readme() -> None:
    named = {name for path in [*ROOT.glob("kb/**/*.py"), *ROOT.glob("ingest/**/*.py"), *ROOT.glob("web/**/*.py"), ROOT / "app.py"] for name in re.findall(r"\bKB_[A-Z_]+\b", path.read_text(encoding="utf-8"))}
    text = README.read_text(encoding="utf-8")
    assert {name for name in named if f"`{name}`" not in text} == set()


def test_every_link_inside_the_repository_leads_somewhere() -> None:
    broken = []
    for path in WRITTEN:
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
            if "://" not in target and not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert broken == []


def test_every_contribution_has_five_steps() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    parts = re.split(r"^## ", text, flags=re.M)[1:]
    assert [part.splitlines()[0] for part in parts] == ["Add a rule", "Add a routine", "Add a lock", "Add an object", "Add an article", "Correct a DDI", "Change code"]
    for part in parts:
        assert re.findall(r"^(\d)\. ", part, flags=re.M) == ["1", "2", "3", "4", "5"], part.splitlines()[0]


def test_no_page_names_a_path_of_somebodys_machine() -> None:
    for path in WRITTEN:
        assert not re.search(r"(?<![\w/.])/(?:home|tmp|work|root|Users)/", path.read_text(encoding="utf-8")), path.name


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs" / "decisions").glob("0*.md"):
        assert f"({path.name})" in listed
        assert path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") in listed


def worked_answer() -> str:
    """The README's worked answer as the code gives it, from the built-in knowledge alone."""
    answer: Answer = Assistant(KNOWLEDGE, Path("no-index")).ask(WORKED)
    lines = [f"> {WORKED}", "", answer.markdown.strip(), ""]
    lines += [f"- [{cited.n}] [{cited.title}]({cited.url})" for cited in answer.citations]
    return "\n".join(lines) + "\n"


def test_the_worked_answer_is_produced_by_the_code(request: pytest.FixtureRequest) -> None:
    text = README.read_text(encoding="utf-8")
    if request.config.getoption("--update-answers"):
        README.write_text(BLOCK.sub(lambda _: worked_answer(), text), encoding="utf-8")
        return
    found = BLOCK.search(text)
    assert found is not None and found.group() == worked_answer(), "renew it: pytest tests/test_docs.py --update-answers"
