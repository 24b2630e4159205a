"""The commands of `run_bot.py` by name. Each is a module of `bot.commands`, loaded when it is given.

Exit codes: 0: done. 1: something outside is not as it should be (the database is away). 2: the command, a setting or a
file is wrong, and nothing was changed. What a script reads goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from bot import __version__
from bot.commands.usage import EXIT_OUTSIDE, EXIT_USAGE
from bot.loading import end_loading
from bot.program import PROGRAM

_PROGRAM_NAME = PROGRAM.removeprefix("python3 ") if PROGRAM.endswith(".py") else PROGRAM


class Command(NamedTuple):
    """A command and the function behind it, whose module is loaded only if the command is given."""

    name: str
    module: str  # below bot.commands
    function: str
    summary: str  # the first sentence of what the function's docstring says


COMMANDS = (
    Command("serve", "serve", "serve", "Runs the bot."),
    Command("demo", "demo", "demo", "Tries the bot without Slack."),
    Command("migrate", "migrate", "migrate_", "Brings the database to the current schema."),
    Command("apply", "organization", "apply_", "Applies an organization file."),
    Command(
        "after-restore",
        "after_restore",
        "after_restore",
        "Prepares a database that was restored from a backup. Run it once, before the bot starts again.",
    ),
    Command("reencrypt", "reencrypt", "reencrypt", "Encrypts the stored secrets with the first key."),
    Command("doctor", "doctor", "doctor", "Checks the whole setup."),
    Command("manifest", "manifest", "manifest_", "Prints the Slack app manifest."),
    Command("audit", "audit", "audit_", "Shows who changed what, the newest first."),
    Command("retention", "data", "retention", "Removes what is kept no longer, as `serve` does by itself."),
    Command("erase", "data", "erase", "Erases a former member."),
    Command("export", "transfer", "export", "Writes everything of an organization to a file."),
    Command("import", "transfer", "import_", "Imports an export, or Sentry's incidents."),
    Command("move", "move", "move", "Moves an organization to another cell."),
    Command("send-test", "send_test", "send_test_", "Posts a test alert to the running bot."),
)
TOKEN_COMMANDS = (
    Command("create", "tokens", "token_create", "Creates a token and prints it."),
    Command("list", "tokens", "token_list", "Lists the tokens."),
    Command("revoke", "tokens", "token_revoke", "Revokes a token."),
)
HOLD_COMMANDS = (
    Command("begin", "data", "hold_begin", "Begins a legal hold."),
    Command("end", "data", "hold_end", "Ends a legal hold."),
    Command("list", "data", "hold_list", "Lists what is on legal hold."),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; gives the exit code. `argv` is without the program's name, sys.argv's when not given."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        app = _app(words)
        end_loading()
        result = app(args=words, prog_name=_PROGRAM_NAME, standalone_mode=False)
    except typer.TyperException as error:
        return _fail(EXIT_USAGE, _usage_sentence(error))
    except typer.Abort:
        return _fail(EXIT_OUTSIDE, "Stopped.")
    except Exception as error:
        from bot.commands.failures import explain_failure  # needs what a command that fails has loaded

        failure = explain_failure(error)
        if failure is None:
            raise
        return _fail(*failure)
    return result if isinstance(result, int) else 0


def _fail(code: int, sentence: str) -> int:
    from bot.log import redact

    typer.echo(redact(sentence), err=True)
    return code


def _usage_sentence(error: typer.TyperException) -> str:
    sentence = " ".join(error.format_message().replace("Value error, ", "").split())
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else _PROGRAM_NAME
    command = PROGRAM.removesuffix(_PROGRAM_NAME) + path
    return f"{sentence} ({command} --help shows {'the commands' if path == _PROGRAM_NAME else 'how'})"


def _app(words: Sequence[str]) -> typer.Typer:
    """Builds the program, with the options of the command that is given, and only the names of the others."""
    # Frames and colours are for a terminal; in a log, plain text reads better.
    app = typer.Typer(
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Tocsin, an incident bot for Slack. Without a command: serve.",
    )
    app.callback(invoke_without_command=True)(_default)
    given = next((word for word in words if not word.startswith("-")), None)
    for command in COMMANDS:
        _add(app, command, given=command.name == given)
    for name, summary, commands in (
        ("token", "The tokens with which other systems post alerts.", TOKEN_COMMANDS),
        ("hold", "Legal hold: what must be neither removed nor erased.", HOLD_COMMANDS),
    ):
        group = typer.Typer(help=summary)
        for command in commands:
            _add(group, command, given=given == name and command.name in words)
        app.add_typer(group, name=name)
    if Path(__file__).parents[1].joinpath("tests").is_dir():  # not in an installed package or an image
        others = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
        app.command(context_settings=others)(test)
        app.command(context_settings=others)(check)
    return app


def _add(app: typer.Typer, command: Command, *, given: bool) -> None:
    if given:
        app.command(command.name)(_load(command))
    else:
        app.command(command.name, help=command.summary)(lambda: None)


def _load(command: Command) -> Callable[..., int]:
    function: Callable[..., int] = getattr(import_module(f"bot.commands.{command.module}"), command.function)
    return function


# --- without a command, and what run_bot.py does itself ------------------------------------------------------


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"Tocsin {__version__}")
        raise typer.Exit


def _default(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> int:
    return 0 if context.invoked_subcommand else _load(COMMANDS[0])()


def test(context: typer.Context) -> int:
    """Runs the tests; arguments go to pytest."""
    return _explain_checkout(context)


def check(context: typer.Context) -> int:
    """Runs the checks of CI beside the tests, or the named ones."""
    return _explain_checkout(context)


def _explain_checkout(context: typer.Context) -> int:
    """run_bot.py carries these two out before it comes here, in environments of their own (bot/environment.py)."""
    return _fail(EXIT_USAGE, f"Use: {PROGRAM} {context.info_name}")


if __name__ == "__main__":
    sys.exit(main())
