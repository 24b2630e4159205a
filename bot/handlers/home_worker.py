"""Publishes the Home of those whose role, teams or membership has changed, on a thread of its own.

Whoever changes it may be another person, a file or a user group, so nobody's request can do it.
"""

from __future__ import annotations

import structlog
from slack_sdk.errors import SlackApiError

from bot.handlers.router import Router
from bot.people import homes
from bot.people.identity import SlackAway
from bot.slack.clients import Clients
from bot.slack.requests import Person
from bot.work import WorkSignals, WorkThread
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.values import Work

log = structlog.get_logger(__name__)

_TRY_AGAIN = frozenset({"ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"})


class HomeWorker:
    """The thread, from `start` to `stop`. Any number of replicas may run one."""

    def __init__(self, store: Store, clients: Clients, router: Router, signals: WorkSignals) -> None:
        """`router` renders Home, from connections that people's requests do not need."""
        self._store = store
        self._clients = clients
        self._router = router
        self._thread = WorkThread("homes", self._publish_due, signals.add_worker(Work.HOMES))

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Waits at most `seconds` for the one that is being published. Another replica does the rest."""
        self._thread.stop(seconds)

    def _publish_due(self, _work: Work) -> None:
        """Publishes what is due. Raises DatabaseAway, Contended."""
        while not self._thread.is_stopping():
            workspaces = [one.workspace_id for one in self._clients.all()]
            due = homes.take_due(self._store, workspaces)
            for home in due:
                if self._thread.is_stopping():
                    return
                homes.settle(self._store, home, published=self._publish(home.workspace_id, home.user_id))
            if len(due) < homes.AT_ONCE:
                return

    def _publish(self, workspace_id: str, user_id: str) -> bool:
        """Publishes one. Returns False if it is to be tried again later. Raises DatabaseAway, Contended."""
        installation = self._clients.find(workspace_id)
        if installation is None:
            return False
        try:
            view = self._router.render_home(Person(workspace_id, user_id, home_team=None))
            installation.client.views_publish(user_id=user_id, view=dict(view))
        except SlackAway:
            return False
        except SlackApiError as error:
            reason = str(error.response.get("error"))
            log.warning("a Home was not published", user=user_id, reason=reason)
            return reason not in _TRY_AGAIN
        except OSError as error:
            log.warning("a Home was not published", user=user_id, reason=str(error))
            return False
        except (DatabaseAway, Contended):
            raise
        except Exception:  # of one Home, for which others must not wait
            log.exception("a Home could not be rendered", user=user_id)
        return True
