"""Completes installations by OAuth in the cell where their workspace is, or will be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from slack_sdk.oauth.installation_store import Installation

from bot.cells.directory import DEFAULT, CellDirectory
from bot.installations.completion import Completion, NotInstallable
from bot.installations.invitations import Invitation
from storage.errors import DatabaseAway


class CellCompletion:
    """The completions of several cells. Implements `bot.installations.completion.Completes`."""

    def __init__(self, directory: CellDirectory, list_completions: Callable[[], Mapping[str, Completion]]) -> None:
        """`list_completions` gives those of the cells whose database was reached, by name."""
        self._directory = directory
        self._list_completions = list_completions

    def find_inviting_organization(self, invitation: Invitation) -> str | None:
        """The name of the organization of an invitation; None if who made it is no owner any more.

        Raises DatabaseAway.
        """
        return self._find_inviting(invitation)[1]

    def complete(self, installation: Installation, invitation: Invitation | None) -> bool:
        """Completes an installation: in the cell that has it already, or whose organization invites, or in the default
        cell.

        Raises NotInstallable, OSError, DatabaseAway, Contended.
        """
        id_ = (installation.enterprise_id if installation.is_enterprise_install else installation.team_id) or ""
        holder = self._directory.find_holder_of_workspace(id_)
        cell = holder or DEFAULT
        if invitation is not None:
            cell = self._find_inviting(invitation)[0] or DEFAULT
            if holder not in (None, cell):
                assert holder is not None
                taken = self._get_completion(holder).is_connected(id_)
                raise NotInstallable("other_organization" if taken else "other_cell", id_)
        return self._get_completion(cell).complete(installation, invitation)

    def _get_completion(self, cell: str) -> Completion:
        completion = self._list_completions().get(cell)
        if completion is None:
            raise DatabaseAway(f"the cell {cell} was not reached yet")
        return completion

    def _find_inviting(self, invitation: Invitation) -> tuple[str | None, str | None]:
        """The cell of an invitation and the name of its organization. Raises DatabaseAway if no cell has it."""
        away: DatabaseAway | None = None
        for cell, completion in self._list_completions().items():
            try:
                name = completion.find_inviting_organization(invitation)
            except DatabaseAway as error:
                away = error
                continue
            if name is not None:
                return cell, name
        if away is not None:
            raise away
        return None, None
