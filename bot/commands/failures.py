"""What a command says, and its exit code, if it fails with one of the errors that are expected."""

from __future__ import annotations

from sqlalchemy import exc

from bot.cells.directory import CellAway, CellUnfit
from bot.commands.usage import EXIT_OUTSIDE, EXIT_USAGE, BadUsage
from bot.organization.apply import NotApplicable
from bot.organization.file import BadFile
from bot.processes.supervisor import ProcessFailed
from bot.settings import SettingsError
from storage.errors import (
    Contended,
    DatabaseAway,
    DatabaseUnfit,
    EmbeddedPostgresError,
    OrganizationMoving,
    ReadOnlyServer,
)

_READ_ONLY = (
    "DATABASE_URL: this server is read-only (a standby, or default_transaction_read_only is on there);"
    " name the primary."
)
# SQLSTATE: broken connections, refused ones, no such database, and a server that is stopping or starting.
_CODES_OF_CONNECTIONS = ("08", "28", "3D", "57P")


def explain_failure(error: Exception) -> tuple[int, str] | None:
    """Returns the exit code and the sentence for an error, which may hold secrets; None if it is a defect."""
    match error:
        case SettingsError() | BadFile() | NotApplicable() | BadUsage():
            return EXIT_USAGE, str(error)
        case ProcessFailed():
            return error.code, str(error)
        case ReadOnlyServer():
            return EXIT_USAGE, _READ_ONLY
        case CellUnfit():
            return EXIT_USAGE, f"TOCSIN_CELLS: {error}"
        case DatabaseUnfit():
            return EXIT_USAGE, f"DATABASE_URL: {error}"
        case CellAway():
            return EXIT_OUTSIDE, f"TOCSIN_CELLS: {str(error).splitlines()[0]}"
        case DatabaseAway():
            return EXIT_OUTSIDE, _explain_database(error.__cause__ or error)
        case exc.OperationalError():
            return EXIT_OUTSIDE, _explain_database(error)
        case EmbeddedPostgresError():
            return EXIT_OUTSIDE, str(error)
        case OrganizationMoving():
            return (
                EXIT_OUTSIDE,
                "The organization is being moved to another cell; nothing was done. Try again afterwards.",
            )
        case Contended():
            return EXIT_OUTSIDE, "Another command is changing the same things; nothing was done, try again."
    return None


def _explain_database(cause: BaseException) -> str:
    original = getattr(cause, "orig", None)
    reason = str(original or cause).strip()
    last = reason.splitlines()[0] if reason else "no answer"
    # An error of a statement has a code; where it is none of connections, the database was reached all right.
    code = getattr(original, "pgcode", None) or ""
    if code and not code.startswith(_CODES_OF_CONNECTIONS):
        return f"The database could not carry this out, and nothing was changed: {last}"
    return f"DATABASE_URL: the database cannot be used: {last}"
