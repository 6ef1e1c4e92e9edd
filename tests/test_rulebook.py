"""A malformed rule file is refused with file, field, reason and cure; several faults are reported together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kb.rulebook import load_rules, read_rule
from kb.terms import KNOWLEDGE, TABLES, KnowledgeError, load_terms

TERMS = load_terms()
GOOD = (KNOWLEDGE / "rules" / "pageable-memory-at-dispatch.yaml").read_text(encoding="utf-8")


def written(tmp_path: Path, old: str, new: str, name: str = "pageable-memory-at-dispatch") -> Path:
    """A rule file with one text replaced."""
    assert old in GOOD
    path = tmp_path / f"{name}.yaml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    return path


def test_a_rule_is_read_whole(tmp_path: Path) -> None:
    rule = read_rule(written(tmp_path, "id:", "id:"), TERMS)
    assert rule.verdict == "forbidden"
    assert [(test.fact, test.comparison, test.against) for test in rule.when][:2] == [("act", "", ""), ("irql.highest", "at_least", "DISPATCH_LEVEL")]
    assert rule.bug_checks[0].startswith("0x")
    assert rule.examples and rule.citations


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("memory.resident: false", "memory.resdent: false", "unknown fact 'memory.resdent'; did you mean 'memory.resident'?"),
        ("memory.resident: false", "memory.resident: maybe", "memory.resident: 'maybe' is not one of its values"),
        ("{at_least: DISPATCH_LEVEL}", "{over: DISPATCH_LEVEL}", "irql.highest: compare with one of at_least, at_most, above, below"),
        ("{at_least: DISPATCH_LEVEL}", "{at_least: DISPATCH, below: DIRQL}", "irql.highest: compare with one of"),
        ("{at_least: DISPATCH_LEVEL}", "{at_least: DISPATCH_LEVLE}", "'DISPATCH_LEVLE' is neither an ordered value nor a fact; did you mean 'DISPATCH_LEVEL'?"),
        ("verdict: forbidden", "verdict: prohibited", "then.verdict: is 'prohibited', must be allowed or forbidden"),
        ("verdict: forbidden", "verdct: forbidden", "then: unknown fact 'verdct'"),
        ("  act: touch\n", "", "a verdict rule starts with `act`"),
        ("id: pageable-memory-at-dispatch", "id: paged-at-dispatch", "id: is 'paged-at-dispatch', must be the file's name, 'pageable-memory-at-dispatch'"),
        ("rationale: |", "reason: |", "rationale: field required; see CONTRIBUTING.md"),
        ("rationale: |", "reason: |", "reason: extra inputs are not permitted; see CONTRIBUTING.md"),
        ("citations:\n", "citations: []\nignored:\n", "ignored: extra inputs are not permitted"),
        ("  - page:", "  - pages:", "citation has unknown keys ['pages']"),
        ("facts: {act: touch", "facts: {acts: touch", "examples: unknown fact 'acts'; did you mean 'act'?"),
        ("title:", "title: [", "pageable-memory-at-dispatch.yaml: not YAML"),
    ],
)
def test_faults_name_file_field_and_cure(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(KnowledgeError) as caught:
        read_rule(written(tmp_path, old, new), TERMS)
    assert message in str(caught.value)
    assert all(line.startswith("pageable-memory-at-dispatch.yaml: ") for line in str(caught.value).splitlines())


def test_a_rule_without_citations_is_refused(tmp_path: Path) -> None:
    before, _, after = GOOD.partition("\ncitations:\n")
    path = tmp_path / "pageable-memory-at-dispatch.yaml"
    path.write_text(f"{before}\ncitations: []\n\nexamples:{after.partition('examples:')[2]}", encoding="utf-8")
    with pytest.raises(KnowledgeError, match="citations: none; name the page"):
        read_rule(path, TERMS)


def test_faults_of_several_files_are_reported_together(tmp_path: Path) -> None:
    for path in KNOWLEDGE.iterdir():
        if path.is_file() and path.stem not in {*TABLES, "ddis", "coverage"}:  # the tables may be empty
            shutil.copy(path, tmp_path)
    (tmp_path / "rules").mkdir()
    written(tmp_path / "rules", "memory.resident: false", "memory.resdent: false")
    (tmp_path / "rules" / "b.yaml").write_text("id: c\n", encoding="utf-8")
    with pytest.raises(KnowledgeError) as caught:
        load_rules(tmp_path)
    assert "unknown fact 'memory.resdent'" in str(caught.value) and "b.yaml: title: field required" in str(caught.value)


def test_the_built_in_rules_are_in_order_of_their_ids() -> None:
    ids = [rule.id for rule in load_rules()]
    assert ids == sorted(ids) and len(ids) >= 40
