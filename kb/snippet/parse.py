"""C text in, functions as small statement trees out. Tolerant: a fragment without a function, macros and annotations are all read."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

import tree_sitter_c
from tree_sitter import Language, Node, Parser

from kb.snippet.tree import FRAGMENT, Assign, Call, Declare, Do, Event, Function, If, Label, Leave, Loop, Statement, Switch, Touch, Try, Unit

MAX_BYTES = 40_000  # longer pastes are cut: a question holds a snippet, not a driver
MAX_FUNCTIONS = 30
MAX_DEPTH = 150  # nesting beyond this is not code that somebody wrote
ANNOTATION = re.compile(
    r"\b_[A-Z][A-Za-z_]*_\b(?:\s*\((?:[^()\n]|\([^()\n]*\))*\))?|\b(?:IN|OUT|OPTIONAL|__in|__out|__inout|__in_opt|__out_opt|FORCEINLINE|__forceinline|EXTERN_C|noexcept|override)\b(?!\s*[=(;,)\[.-])"
)
DECLSPEC = re.compile(r'__declspec\s*\((?:[^()"]|"[^"\n]*"|\([^()]*\))*\)')
CODE_SEG = re.compile(r'code_seg\s*\(\s*(?:push\s*,\s*|pop\s*,?\s*)?(?:"([^"\n]*)")?[^)\n]*\)')
ALLOC_TEXT = re.compile(r"#\s*pragma\s+alloc_text\s*\(\s*\"?(\w+)\"?\s*,([^)]*)\)")
ELLIPSIS = re.compile(r"\.\.\.|…")
COMMENT = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)", re.S)
SAL_LEVEL = re.compile(r"_IRQL_requires_(max_|min_)?\s*\(\s*(\w+)\s*\)")
SAL_CLASS = re.compile(r"_Function_class_\s*\(\s*(\w+)\s*\)|_Dispatch_type_\s*\(\s*(\w+)\s*\)")


@functools.cache
def parser() -> Parser:
    """The C parser, made once."""
    return Parser(Language(tree_sitter_c.language()))


def blank(found: re.Match[str]) -> str:
    """Blanks in place of a match, line ends kept, so that lines and columns stay."""
    return re.sub(r"[^\n]", " ", found.group())


def is_variadic(text: str, found: re.Match[str]) -> bool:
    """Whether `...` is the end of a parameter list or stands in a word or text, not for code that was left out."""
    before = text[max(0, found.start() - 40) : found.start()].rstrip(" \t")[-1:]
    after = text[found.end() : found.end() + 40].lstrip(" \t")[:1]
    return before in (",", "(", '"', "%") or after == ")" or text[found.start() - 1 : found.start()].isalnum()


def left_out(text: str) -> bool:
    """Whether `...` or lone dots stand for code that was left out."""
    return re.search(r"(?m)^[ \t]*\.[ \t]*$|//[^\n]*(?:\.\.\.|…)|/\*[^*]*(?:\.\.\.|…)", text) is not None or any(not is_variadic(text, found) for found in ELLIPSIS.finditer(text))


def clean(code: str) -> str:
    """The code with what the C grammar does not know blanked out: annotations, __declspec, `...` for what was left out."""
    text = DECLSPEC.sub(blank, COMMENT.sub(blank, code))
    text = ELLIPSIS.sub(lambda found: found.group() if is_variadic(text, found) else ";  "[: len(found.group())], text)
    text = re.sub(r"::(?=\w)", "__", text)
    return ANNOTATION.sub(lambda found: found.group() if found.group().startswith(("_In", "_Out")) and "=" in found.group() else blank(found), text)


def parse(code: str) -> Unit:
    """
    Read a snippet.

    Args:
        code: C or C++ as pasted.

    Returns:
        Its functions; loose statements are one more function with `fragment`. Never raises: what cannot be read is left out.
    """
    code = code.encode("utf-8", "replace").decode("utf-8")[:MAX_BYTES]
    bare = COMMENT.sub(blank, code)
    unit = Unit(text=bare, source=code, shortened=left_out(code))
    for found in ALLOC_TEXT.finditer(bare):
        for name in found.group(2).split(","):
            unit.sections[name.strip()] = found.group(1)
    text = clean(code)
    root = parser().parse(text.encode()).root_node
    made = [node for node in descend(root, 6) if node.type == "function_definition" and node.child_by_field_name("body") is not None]
    made = [node for node in made if function_name(node)][:MAX_FUNCTIONS]
    if not made:
        wrapped = parser().parse(("void " + FRAGMENT + "(void) {" + text + "\n}").encode()).root_node
        made = [node for node in descend(wrapped, 3) if node.type == "function_definition"][:1]
        unit.functions += [read_function(node, bare) for node in made]
        return unit
    loose: list[Statement] = []
    for node in root.children:
        if node.type in ("expression_statement", "if_statement", "while_statement", "for_statement", "do_statement", "return_statement", "seh_try_statement"):
            loose += Lowering().statement(node, 0)
        elif node.type == "declaration":
            note_declaration(node, unit, bare)
            if any(child.type == "init_declarator" for child in node.children):
                loose += Lowering().statement(node, 0)
    unit.functions += [read_function(node, bare) for node in made]
    if any(isinstance(one, Do) for one in loose):
        unit.functions.append(Function(FRAGMENT, 1, bare.count("\n") + 1, "", (), tuple(loose)))
    return unit


def descend(node: Node, depth: int) -> Iterator[Node]:
    """A node's descendants, outermost first, functions not entered."""
    for child in node.children:
        yield child
        if depth and child.type != "function_definition":
            yield from descend(child, depth - 1)


def words(node: Node | None) -> str:
    """The text of a node with single blanks."""
    return " ".join((node.text or b"").decode("utf-8", "replace").split()) if node is not None else ""


def declarator_name(node: Node | None) -> tuple[str, bool]:
    """The name that a declarator declares, and whether it is a pointer or an array."""
    pointer = False
    for _ in range(MAX_DEPTH):
        if node is None or node.type in ("identifier", "field_identifier", "type_identifier"):
            break
        pointer = pointer or node.type == "pointer_declarator"
        node = node.child_by_field_name("declarator") or next((child for child in node.named_children if child.type.endswith(("declarator", "identifier"))), None)
    return words(node), pointer


def function_declarator(node: Node) -> Node | None:
    """The part of a function's declarator that has the parameters."""
    at = node.child_by_field_name("declarator")
    for _ in range(MAX_DEPTH):
        if at is None or at.type == "function_declarator":
            return at
        at = at.child_by_field_name("declarator")
    return None


def function_name(node: Node) -> str:
    """A function definition's name; empty when it has none, as for a statement that was misread."""
    head = function_declarator(node)
    name = declarator_name(head)[0] if head is not None else ""
    return "" if name in ("if", "while", "for", "switch", "return", "__try", "__except", "try", "catch") else name


def note_declaration(node: Node, unit: Unit, bare: str) -> None:
    """Keep what a file-level declaration says of a name: `KDEFERRED_ROUTINE MyDpc;` gives it a role."""
    type_name = words(node.child_by_field_name("type"))
    for child in node.children_by_field_name("declarator"):
        name = declarator_name(child)[0]
        if type_name and name:
            unit.declared.setdefault(name, []).append((type_name, words(node)))


def read_function(node: Node, bare: str) -> Function:
    """Lower one function definition."""
    head = function_declarator(node)
    parameters = []
    if head is not None and (listed := head.child_by_field_name("parameters")) is not None:
        for one in listed.named_children:
            if one.type == "parameter_declaration":
                name, pointer = declarator_name(one.child_by_field_name("declarator"))
                parameters.append((words(one.child_by_field_name("type")) + ("*" if pointer else ""), name))
    body = node.child_by_field_name("body")
    name = function_name(node)
    start = node.start_point[0]
    head_line = head.start_point[0] if head is not None else start
    lines = bare.split("\n")
    column = head.start_point[1] if head is not None else 0
    before = [] if name == FRAGMENT else [*lines[max(0, start - 8) : head_line], lines[head_line][:column] if head_line < len(lines) else ""]
    sal = re.split(r"[;}]", "\n".join(before))[-1]
    section = ""
    pragma = "\n".join([] if name == FRAGMENT else bare.split("\n")[:head_line])
    for found in re.finditer(r"#\s*pragma\s+" + CODE_SEG.pattern, pragma):
        section = found.group(1) or ""
    inner = re.search(r"__declspec\s*\(\s*" + CODE_SEG.pattern, sal)
    section = inner.group(1) or "" if inner else section
    statements = Lowering().block(body, 0) if body is not None else []
    return Function(name, head_line + 1, node.end_point[0] + 1, words(node.child_by_field_name("type")), tuple(parameters), tuple(statements), sal, section)


def strip(text: str) -> str:
    """An expression without the parentheses and casts around it."""
    for _ in range(8):
        new = text.strip()
        cast = re.match(r"^\(\s*(?:const\s+|struct\s+)?[A-Za-z_]\w*(?:\s+\w+)?\s*\**\s*\)\s*(?=[\w&*(])", new)
        if new.startswith("(") and new.endswith(")") and balanced(new[1:-1]):
            new = new[1:-1]
        elif cast:
            new = new[cast.end() :]
        if new == text:
            break
        text = new
    return text


def balanced(text: str) -> bool:
    """Whether parentheses close within the text."""
    depth = 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return False
    return depth == 0


def root_variable(text: str) -> str:
    """The variable at the root of an lvalue: `d` of `&d->Lock`; empty when there is none."""
    found = re.match(r"[&*(\s]*([A-Za-z_]\w*)", strip(text))
    return found.group(1) if found else ""


class Lowering:
    """Turns syntax nodes into statements."""

    def block(self, node: Node, depth: int) -> list[Statement]:
        """All statements of a block."""
        out: list[Statement] = []
        for child in node.named_children:
            out += self.statement(child, depth + 1)
        return out

    def statement(self, node: Node | None, depth: int) -> list[Statement]:
        """One statement, as none, one or several of ours."""
        if node is None or depth > MAX_DEPTH:
            return []
        kind = node.type
        line = node.start_point[0] + 1
        if kind in ("compound_statement", "else_clause", "ERROR", "linkage_specification", "declaration_list", "attributed_statement"):
            return self.block(node, depth)
        if kind.startswith("preproc_") and kind not in ("preproc_call", "preproc_def", "preproc_include", "preproc_function_def", "preproc_defined", "preproc_arg"):
            return self.block(node, depth)
        if kind == "if_statement":
            test = node.child_by_field_name("condition")
            then = self.statement(node.child_by_field_name("consequence"), depth + 1)
            other = self.statement(node.child_by_field_name("alternative"), depth + 1)
            return [If(strip(words(test)), self.events(test), tuple(then), tuple(other))]
        if kind in ("while_statement", "do_statement", "for_statement"):
            test = node.child_by_field_name("condition")
            body = self.statement(node.child_by_field_name("body"), depth + 1)
            out: list[Statement] = []
            if (first := node.child_by_field_name("initializer")) is not None:
                out.append(Do(self.events(first)))
            if (update := node.child_by_field_name("update")) is not None:
                body.append(Do(self.events(update)))
            text = strip(words(test))
            return [*out, Loop("" if text in ("TRUE", "1", "true", ";") else text, self.events(test), tuple(body), kind == "do_statement")]
        if kind == "switch_statement":
            cases, default = [], False
            for child in (node.child_by_field_name("body") or node).named_children:
                if child.type == "case_statement":
                    default = default or words(child).startswith("default")
                    value = child.child_by_field_name("value")
                    cases.append(tuple(one for inner in child.named_children if inner != value for one in self.statement(inner, depth + 1)))
            return [Switch(self.events(node.child_by_field_name("condition")), tuple(cases), default)]
        if kind == "seh_try_statement":
            handler: list[Statement] = []
            final: list[Statement] = []
            for child in node.named_children:
                if child.type == "seh_except_clause":
                    handler = self.block(child, depth)
                elif child.type == "seh_finally_clause":
                    final = self.block(child, depth)
            return [Try(tuple(self.statement(node.child_by_field_name("body"), depth + 1)), tuple(handler), tuple(final))]
        if kind == "return_statement":
            return [Do(self.events(node)), Leave("return", "", line)]
        if kind in ("break_statement", "continue_statement", "seh_leave_statement"):
            return [Leave(kind.split("_")[0] if kind[0] != "s" else "leave", "", line)]
        if kind == "goto_statement":
            return [Leave("goto", words(node.child_by_field_name("label")), line)]
        if kind == "labeled_statement":
            label = node.child_by_field_name("label")
            return [Label(words(label)), *(one for inner in node.named_children if inner != label for one in self.statement(inner, depth + 1))]
        events = self.events(node)
        return [Do(events)] if events else []

    def events(self, node: Node | None) -> tuple[Event, ...]:
        """What evaluating an expression or declaration does."""
        out: list[Event] = []
        if node is not None:
            self.visit(node, "", out, 0)
        return tuple(out)

    def visit(self, node: Node, target: str, out: list[Event], depth: int) -> None:
        """Walk an expression; *target* is what its value is assigned to."""
        kind, line = node.type, node.start_point[0] + 1
        if depth > MAX_DEPTH or kind in (
            "sizeof_expression",
            "offsetof_expression",
            "comment",
            "type_descriptor",
            "struct_specifier",
            "enum_specifier",
            "union_specifier",
            "type_definition",
        ):
            return
        if kind in ("parenthesized_expression", "cast_expression") and node.named_children:
            self.visit(node.named_children[-1], target, out, depth + 1)
            return
        if kind == "call_expression":
            called, listed = node.child_by_field_name("function"), node.child_by_field_name("arguments")
            if called is not None and called.type != "identifier":
                self.visit(called, "", out, depth + 1)
            arguments = [one for one in listed.named_children if one.type != "comment"] if listed is not None else []
            for one in arguments:
                self.visit(one, "", out, depth + 1)
            name = words(called).replace(" ", "")
            out.append(Call(re.split(r"->|\.", name)[-1], tuple(words(one) for one in arguments), line, words(node), target))
            return
        if kind == "assignment_expression":
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            goal = words(left)
            if right is not None:
                self.visit(right, goal, out, depth + 1)
            if left is not None and left.type != "identifier":
                self.visit(left, "", out, depth + 1)
            plain = words(node.child_by_field_name("operator")) in ("=", "")
            out.append(Assign(goal, strip(words(right)) if plain else "", line))
            return
        if kind == "declaration":
            self.declaration(node, out, depth)
            return
        if kind == "update_expression":
            inner = node.child_by_field_name("argument")
            if inner is not None:
                self.visit(inner, "", out, depth + 1)
                out.append(Assign(words(inner), "", line))
            return
        if kind in ("field_expression", "subscript_expression", "pointer_expression"):
            inner = node.child_by_field_name("argument")
            operator = words(node.child_by_field_name("operator"))
            if kind == "pointer_expression" and operator == "&" and inner is not None:
                self.address(inner, out, depth + 1)
                return
            for child in node.named_children:
                if child.type != "field_identifier":
                    self.visit(child, "", out, depth + 1)
            if inner is not None and (kind != "field_expression" or operator == "->") and strip(words(inner)).isidentifier():
                out.append(Touch(strip(words(inner)), line))
            return
        for child in node.named_children:
            self.visit(child, "", out, depth + 1)

    def address(self, node: Node, out: list[Event], depth: int) -> None:
        """Walk what an address is taken of: `&d->Lock` computes with `d` and touches nothing of it."""
        inner = node.child_by_field_name("argument")
        if depth > MAX_DEPTH or inner is None or node.type not in ("field_expression", "subscript_expression"):
            if node.type != "identifier":
                self.visit(node, "", out, depth + 1)
        elif words(node.child_by_field_name("operator")) == "." or inner.type in ("field_expression", "subscript_expression"):
            self.address(inner, out, depth + 1)

    def declaration(self, node: Node, out: list[Event], depth: int) -> None:
        """Declarators of a declaration, with their values."""
        type_name = words(node.child_by_field_name("type"))
        for child in node.children_by_field_name("declarator"):
            line = child.start_point[0] + 1
            name, pointer = declarator_name(child)
            out.append(Declare(type_name, name, pointer, line))
            value = child.child_by_field_name("value") if child.type == "init_declarator" else None
            if value is not None:
                self.visit(value, name, out, depth + 1)
                out.append(Assign(name, strip(words(value)), line))
