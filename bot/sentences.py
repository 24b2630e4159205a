"""The page of everything that Tocsin writes to people in Slack, `docs/messages.md`, generated from the code.

`python -m bot.sentences` fails if the page is out of date (CI runs this); `--write` updates it.

A text is on the page if it is a string of words in a module of PACKAGES: it has a blank, or is a word with a capital
letter, as labels are. Left out are docstrings, comparisons, ids, the arguments of logs and of exceptions for
programmers, the modules of `_FOR_OPERATORS`, and what has the comment NOT_SHOWN on its first line. The modules are
read, not imported.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path("docs/messages.md")
# In the order of the page.
PACKAGES: Mapping[str, str] = {
    "handlers": "Commands, buttons, forms and shortcuts",
    "messages": "Cards, lists, forms, direct messages and digests",
    "incidents": "What is refused, and why",
    "people": "People, teams and channels",
    "installations": "Installing in more workspaces",
    "digests": "Digests and their schedules",
    "delivery": "Delivery",
    "slack": "Late answers, and the app's manifest",
}
NOT_SHOWN = "# not shown"

# Their texts are for the log, `doctor` or the metrics.
_FOR_OPERATORS = frozenset(
    {
        "bot/delivery/api_calls.py",
        "bot/delivery/metrics.py",
        "bot/digests/metrics.py",
        "bot/delivery/sender.py",
        "bot/delivery/service.py",
        "bot/delivery/settlement.py",
        "bot/installations/completion.py",
        "bot/installations/oauth.py",
        "bot/installations/registry.py",
        "bot/installations/reencryption.py",
        "bot/installations/service.py",
        "bot/installations/tokens.py",
        "bot/people/member_check.py",
        "bot/slack/backoff.py",
        "bot/slack/clients.py",
        "bot/slack/connections.py",
        "bot/slack/files.py",
        "bot/slack/http_mode.py",
        "bot/slack/socket_mode.py",
        "bot/slack/web_api.py",
    }
)
_CALLS_FOR_PROGRAMMERS = re.compile(
    r"(?:log|re|logging|structlog|tracing)\..*|_log_unknown|.*\.(?:strftime|translate|legend)|Thread|TypeVar|cast"
    r"|PictureFailed|CannotRender"
)
_EXCEPTIONS = {
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
}
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_ID = re.compile(r"[a-z][\w ]*\w:\{|\S*\{[^{}]*\}[/?=]\S*\Z")  # `reply:{ts}`, `{url}/archives/…`
_LABEL = re.compile(r"\W*[A-Z][a-z]+\W*")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text that people see: `{name}` is filled in, `[…]` is not always there, `[… | …]` is one of the two."""

    text: str
    occasion: str  # when they see it


@dataclass(frozen=True, slots=True)
class Module:
    """The texts of a module, in the order of the source."""

    path: str  # from the root of the repository
    description: str  # the first sentence of its docstring
    sentences: Sequence[Sentence]


# --- collecting ------------------------------------------------------------------------------------------------


def collect(root: Path) -> dict[str, list[Module]]:
    """The modules below `root`/bot that have texts for people, by package."""
    return {package: list(_collect_package(root, package)) for package in PACKAGES}


def _collect_package(root: Path, package: str) -> Iterator[Module]:
    for file in sorted((root / "bot" / package).rglob("*.py")):
        path = file.relative_to(root).as_posix()
        if path in _FOR_OPERATORS:
            continue
        source = file.read_text(encoding="utf-8")
        tree = ast.parse(source)
        found = list(dict.fromkeys(_Collector(source, tree).collect()))
        if found:
            yield Module(path, first_sentence(ast.get_docstring(tree)), found)


class _Collector:
    """Collects the texts of a module."""

    def __init__(self, source: str, tree: ast.Module) -> None:
        self._tree = tree
        self._lines = source.splitlines()
        self._users: dict[str, list[ast.stmt]] = defaultdict(list)  # by a name: the statements that mention it
        for statement in tree.body:
            for name in {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}:
                self._users[name].append(statement)

    def collect(self) -> Iterator[Sentence]:
        """The texts, in the order of the source."""
        for statement in self._tree.body:
            yield from self._search(statement, self._describe(statement, frozenset()))

    def _search(self, node: ast.AST, occasion: str) -> Iterator[Sentence]:
        if self._is_for_programmers(node):
            return
        if isinstance(node, ast.expr) and is_text(node) and not isinstance(node, ast.IfExp):
            text = " ".join(render_text(node).split())
            if _has_words(_PLACEHOLDER.sub("", text)) and not _ID.match(text):
                yield Sentence(text, occasion)
            # Texts within what is filled in.
            for inner in ast.walk(node):
                if isinstance(inner, ast.FormattedValue) and not is_text(inner.value) and not _wraps_text(inner.value):
                    yield from self._search(inner.value, occasion)
            return
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            occasion = first_sentence(ast.get_docstring(node)) or occasion
        elif isinstance(node, ast.keyword) and node.arg in ("usage", "summary", "examples", "brief"):
            occasion = "In `help`."
        for child in _children(node):
            yield from self._search(child, occasion)

    def _is_for_programmers(self, node: ast.AST) -> bool:
        if isinstance(node, ast.stmt | ast.expr) and NOT_SHOWN in self._lines[node.lineno - 1]:
            return True
        match node:
            case ast.Expr(value=ast.Constant()):  # a docstring
                return True
            case ast.keyword(arg="phrases" | "synonyms" | "aliases"):  # what people type
                return True
            case ast.Compare():
                return True
            case ast.Call(func=function):
                name = ast.unparse(function)
                return name in _EXCEPTIONS or _CALLS_FOR_PROGRAMMERS.fullmatch(name) is not None
        return False

    def _describe(self, statement: ast.stmt, seen: frozenset[str]) -> str:
        """The occasion of a statement's texts: its docstring, or those of the statements that use it."""
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            described = first_sentence(ast.get_docstring(statement))
            names = [statement.name]
        else:
            described = ""
            targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        if described:
            return described
        users = [user for name in names if name not in seen for user in self._users[name] if user is not statement]
        occasions = dict.fromkeys(self._describe(user, seen.union(names)) for user in users)
        return " ".join(occasion for occasion in occasions if occasion)


def _has_words(text: str) -> bool:
    blank = any(sign.isspace() for sign in text) and any(sign.isalpha() for sign in text)
    return blank or _LABEL.fullmatch(text) is not None


def _children(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.AnnAssign(value=value):
            return iter([value] if value else [])
        case ast.Subscript(value=value):
            return iter([value])
        case ast.FunctionDef(body=body) | ast.ClassDef(body=body):
            return iter(body)
    return ast.iter_child_nodes(node)


def is_text(node: ast.AST) -> bool:
    """Whether an expression is put together from strings that are in the source."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return is_text(left) or is_text(right)
        case ast.IfExp(body=body, orelse=other):
            return is_text(body) and is_text(other)
    return False


def _wraps_text(node: ast.expr) -> bool:
    """Whether an expression is like `escape(f"…")`."""
    return isinstance(node, ast.Call) and bool(node.args) and is_text(node.args[0])


def render_text(node: ast.expr) -> str:
    """The text of an expression, with `{name}` for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(render_text(part) for part in parts)
        case ast.FormattedValue(value=ast.Call(args=[wrapped, *_]) as call) if _wraps_text(call):
            return render_text(wrapped)
        case ast.FormattedValue(value=value):
            return render_text(value)
        case ast.BinOp(left=left, right=right) if is_text(node):
            return render_text(left) + render_text(right)
        case ast.IfExp(body=body, orelse=other) if is_text(node):
            return f"[{' | '.join(filter(None, (render_text(body), render_text(other))))}]"
    return f"{{{name_value(node)}}}"


def name_value(node: ast.expr) -> str:
    """A short name for the value of an expression."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").replace("_", " ").lower()
        case ast.Subscript(value=ast.Name(id=name), slice=key) if name.isupper():
            return name_value(key)
        case ast.Call(func=function, args=arguments):
            verb, _, result = name_value(function).partition(" ")
            if result and verb in ("render", "format", "build", "get", "find"):
                return result
            if arguments:
                return name_value(arguments[0])
            return name_value(function.value if isinstance(function, ast.Attribute) else function)
        case (
            ast.Subscript(value=inner) | ast.BoolOp(values=[inner, *_]) | ast.IfExp(body=inner) | ast.BinOp(left=inner)
        ):
            return name_value(inner)
        case ast.GeneratorExp(generators=[ast.comprehension(iter=inner), *_]):
            return name_value(inner)
        case ast.ListComp(generators=[ast.comprehension(iter=inner), *_]):
            return name_value(inner)
    return "…"


def first_sentence(docstring: str | None) -> str:
    """The first sentence of a docstring, on one line; "" where there is none."""
    paragraph = " ".join((docstring or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.?!])\s", paragraph, maxsplit=1)[0]


# --- the page --------------------------------------------------------------------------------------------------

_INTRODUCTION = """\
# Messages

Everything that Tocsin writes to people in Slack, generated from the code by `python -m bot.sentences --write`.
`{name}` is filled in, `[…]` is not always there, and of `[… | …]` it is one.
"""


def render_page(root: Path) -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION]
    for package, modules in collect(root).items():
        if modules:
            parts.append(f"## {PACKAGES[package]}\n")
        for module in modules:
            rows = "".join(f"| {_escape(one.text)} | {_escape(one.occasion)} |\n" for one in module.sentences)
            parts.append(f"### `{module.path}`\n\n{module.description}\n\n| text | when |\n|---|---|\n{rows}")
    return "\n".join(parts)


def _escape(text: str) -> str:
    """Text as the cell of a table in Markdown that shows it as it is."""
    # In code, Markdown shows everything as it is, except the bar between cells.
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part.replace("|", r"\|") if part.startswith("`") else re.sub(r"([\\*_<>~|\[\]#&])", r"\\\1", part)
        for part in parts
    )


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Checks the page, or updates it. Returns 1 if it is out of date."""
    page, wanted = root / PAGE, render_page(root)
    if "--write" in arguments:
        page.write_text(wanted, encoding="utf-8")
    elif not page.exists() or page.read_text(encoding="utf-8") != wanted:
        print(f"{PAGE} is not up to date: python -m bot.sentences --write", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
