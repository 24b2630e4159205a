"""The statements that find a page of a list of incidents. Each strategy is a method that builds one statement.

`incident_project` duplicates the columns of an incident that sort and filter a list. The newest incidents of a project
are therefore the first rows of an index, and the cost does not grow with the number of incidents.
"""

from __future__ import annotations

from typing import Any

from storage.queries.list_filter import ListFilter, build_like_pattern
from storage.queries.silences import is_silenced
from storage.rows import Cursor

# How many of the newest incidents a filter is tested against before another strategy is tried.
NEAR = 2000
NEAR_IN_BRANCH = 20  # the minimum that is read from each of many projects
# There is a merge statement for each of these numbers of projects; other numbers use the next larger one. A merge
# reads one incident at a time.
MERGED = (4, 8, 16, 32, 64)
# Common filters have at most this many words and otherwise only status, teams and `until`. Their statements are
# prepared.
COMMON_WORDS = 2
NO_OTHERS = (None,) * 13  # in the columns of `with_columns`: a row that says that there are no other incidents


def _is_common(list_filter: ListFilter) -> bool:
    return not (
        len(list_filter.words) > COMMON_WORDS
        or list_filter.environment is not None
        or list_filter.since is not None
        or list_filter.unseen_by is not None
        or list_filter.followed_by is not None
        or list_filter.owned_by is not None
        or list_filter.storm is not None
        or list_filter.unowned
        or list_filter.silenced
    )


class ListStatements:
    """The statements for one filter and one cursor.

    The SQL consists of constants of this module only; values are passed in `parameters`. Each public method builds the
    statement for one strategy, except `with_columns`. `storage.queries.listing` chooses the strategy.
    """

    def __init__(self, list_filter: ListFilter, cursor: Cursor | None) -> None:
        self.list_filter = list_filter
        self.parameters: dict[str, Any] = {
            "organization_id": list_filter.organization_id,
            "project_ids": list(list_filter.project_ids),
        }
        self.of_all_projects = list_filter.of_all_projects
        back = cursor is not None and cursor.before
        self.direction, self.compare = ("ASC", ">") if back else ("DESC", "<")
        if cursor is not None:
            self.parameters |= {"started": cursor.started, "incident_id": cursor.incident_id}
        self.has_cursor = cursor is not None
        if list_filter.status is not None:
            self.parameters["status"] = list_filter.status
        if list_filter.until is not None:
            self.parameters["until"] = list_filter.until
        if list_filter.team_ids is not None:
            self.parameters["team_ids"] = list(list_filter.team_ids)
        # Conditions on the row of the incident. For open incidents, `incident_project` has the title too.
        self.parameters |= {f"word{number}": build_like_pattern(word) for number, word in enumerate(list_filter.words)}
        self.of_title = self._of_title("i")
        self.of_others = self._of_others()
        self.of_incident = self.of_title + self.of_others
        self.common = _is_common(list_filter)
        branches = 1 if self.of_all_projects else len(list_filter.project_ids)
        # How many projects the merge statement has; None: no merge.
        self.merged = None
        if list_filter.team_ids is not None:
            branches *= len(list_filter.team_ids)
        elif not self.of_all_projects:
            self.merged = next((number for number in MERGED if branches <= number), None)
        self.parameters["depth"] = NEAR if self.merged else max(NEAR // max(branches, 1), NEAR_IN_BRANCH)

    def _on_link(self, started: str, id_: str, status: str) -> list[str]:
        """Returns the conditions on the columns that `incident_project` duplicates, for the given column names."""
        conditions = []
        if self.list_filter.open:
            conditions.append(f"{status} <> 2")
        elif self.list_filter.status is not None:
            conditions.append(f"{status} = %(status)s")
        if self.has_cursor:
            conditions.append(f"({started}, {id_}) {self.compare} (%(started)s, %(incident_id)s)")
        if self.list_filter.until is not None:
            conditions.append(f"{started} <= %(until)s")
        return conditions

    def _of_title(self, row: str) -> list[str]:
        return [f"{row}.title ILIKE %(word{number})s" for number in range(len(self.list_filter.words))]

    def _of_others(self) -> list[str]:
        list_filter = self.list_filter
        conditions = []
        if list_filter.environment is not None:
            conditions.append("lower(i.environment) = lower(%(environment)s)")
            self.parameters["environment"] = list_filter.environment
        if list_filter.since is not None:
            conditions.append("(i.date_closed IS NULL OR i.date_closed >= %(since)s)")
            self.parameters["since"] = list_filter.since
        if list_filter.unseen_by is not None:
            conditions.append(
                "NOT EXISTS (SELECT FROM incident_seen s WHERE s.incident_id = i.id AND s.member_id = %(unseen_by)s)"
            )
            self.parameters["unseen_by"] = list_filter.unseen_by
        if list_filter.followed_by is not None:
            conditions.append(
                "EXISTS (SELECT FROM incident_subscription s WHERE s.organization_id = i.organization_id"
                " AND s.incident_id = i.id AND s.member_id = %(followed_by)s)"
            )
            self.parameters["followed_by"] = list_filter.followed_by
        if list_filter.owned_by is not None:
            conditions.append("i.owner_id = %(owned_by)s")
            self.parameters["owned_by"] = list_filter.owned_by
        if list_filter.storm is not None:
            conditions.append(
                "EXISTS (SELECT FROM storm_incident si WHERE si.organization_id = i.organization_id"
                " AND si.storm_id = %(storm_id)s AND si.incident_id = i.id)"
            )
            self.parameters["storm_id"] = list_filter.storm
        if list_filter.unowned:
            conditions.append("i.owner_id IS NULL")
        if list_filter.silenced:
            conditions.append(is_silenced("i"))
        return conditions

    def _branch(
        self, conditions: list[str], limit: str, *, join: bool = False, project: str = "p.id", more: str = ""
    ) -> tuple[str, str]:
        """Returns the query for the newest incidents of one `project`, and the FROM items to run it for.

        With a team filter, it is one query for each project and team. `join` joins the row of the incident. `more` are
        additional columns.
        """
        if self.of_all_projects:
            started, id_ = "i.date_started", "i.id"
            source, branches = "incident i", ""
            conditions = [
                "i.organization_id = %(organization_id)s",
                (
                    "EXISTS (SELECT FROM incident_project ip"
                    " WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id OFFSET 0)"
                ),
                *self._on_link(started, id_, "i.status"),
                *conditions,
            ]
        else:
            started, id_ = "ip.started", "ip.incident_id"
            source = "incident_project ip" + (
                " JOIN incident i ON i.organization_id = %(organization_id)s AND i.id = ip.incident_id" if join else ""
            )
            branches = "unnest(%(project_ids)s::bigint[]) AS p(id)"
            conditions = [f"ip.project_id = {project}", *self._on_link(started, id_, "ip.status"), *conditions]
        if self.list_filter.team_ids is not None:
            branches += (" CROSS JOIN " if branches else "") + "unnest(%(team_ids)s::bigint[]) AS t(id)"
            conditions.append(("coalesce(i.team_id, 0)" if self.of_all_projects else "ip.team_id") + " = t.id")
        branch = (
            f"SELECT {started} AS started, {id_} AS incident_id{more} FROM {source} WHERE {' AND '.join(conditions)}"
            f" ORDER BY {started} {self.direction}, {id_} {self.direction} LIMIT {limit}"
        )
        return branch, branches

    def of_newest(self, size: int, only_if: str = "true") -> str:
        """Builds the statement that merges the newest `size` matching incidents of each branch, or else finds none.

        The size is a literal, so that the planner looks up what a page shows of so few, instead of joining tables.
        """
        is_merged = not self.of_all_projects or self.list_filter.team_ids is not None
        more = "" if is_merged else ", i.*"
        page, branches = self._branch(self.of_incident, str(size), join=bool(self.of_incident), more=more)
        if is_merged:
            page = (
                f"SELECT DISTINCT newest.started, newest.incident_id FROM {branches} CROSS JOIN LATERAL ({page}) newest"
                f" ORDER BY started {self.direction}, incident_id {self.direction} LIMIT {size}"
            )
        return self.with_columns(f"SELECT * FROM ({page}) newest WHERE {only_if}", has_incident=not is_merged)

    def among_newest(self) -> str:
        """Builds the statement that tests only the newest incidents (see NEAR).

        If they fill less than a page and there are no other incidents to test, the row NO_OTHERS follows.
        """
        if self.merged:
            passing, no_others = self._among_newest_merged(self.merged)
        elif self.of_all_projects and self.list_filter.team_ids is None:
            passing, no_others = self._among_newest_of_all()
        else:
            passing, no_others = self._among_newest_of_many()
        nothing = ", ".join(["NULL"] * len(NO_OTHERS))
        return (
            f"WITH {passing} SELECT * FROM ({self.with_columns('SELECT * FROM passing')}) page"
            # The search for other incidents is expensive, so it runs second. CASE guarantees this order, AND does not.
            f" UNION ALL SELECT {nothing}"
            f" WHERE CASE WHEN (SELECT count(*) FROM passing) < %(size)s THEN {no_others} ELSE false END"
        )

    def _among_newest_of_all(self) -> tuple[str, str]:
        """For callers who see all projects: the row of the incident has the columns to sort by and to filter by."""
        conditions = ["i.organization_id = %(organization_id)s", *self._on_link("i.date_started", "i.id", "i.status")]
        order = f"ORDER BY i.date_started {self.direction}, i.id {self.direction}"
        newest = f"FROM incident i WHERE {' AND '.join(conditions)} {order} LIMIT %(depth)s"
        of_some_project = (
            "EXISTS (SELECT FROM incident_project ip"
            " WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id OFFSET 0)"
        )
        passing = f"""passing AS MATERIALIZED (
    SELECT i.date_started AS started, i.id AS incident_id
    FROM (SELECT i.id, i.date_started, i.date_closed, i.title, i.environment, i.owner_id, i.organization_id,
          i.silence_id {newest}) i
    WHERE {" AND ".join([*self.of_incident, of_some_project])} {order} LIMIT %(size)s)"""
        return passing, f"NOT EXISTS (SELECT {newest} OFFSET %(depth)s)"

    def _among_newest_merged(self, count: int) -> tuple[str, str]:
        """Reads the newest incidents of several projects one at a time, until a page is full.

        Each project's rows are sorted and limited in number, so the planner merges them instead of sorting.
        """
        titled = self.list_filter.open
        columns = ", ip.title" if titled else ""
        projects = (f"(%(project_ids)s::bigint[])[{number}]" for number in range(1, count + 1))
        each = (self._branch([], "%(depth)s", project=project, more=columns)[0] for project in projects)
        newest = f"SELECT * FROM ({' UNION ALL '.join(f'({one})' for one in each)}) n {self._order} LIMIT %(depth)s"
        conditions = self._of_title("n") if titled else []
        others = self.of_others if titled else self.of_incident
        if others:
            conditions.append(f"EXISTS {self._passes(others)}")
        passing = f"""passing AS MATERIALIZED (
    SELECT DISTINCT n.started, n.incident_id FROM ({newest}) n
    WHERE {" AND ".join(conditions)} {self._order} LIMIT %(size)s)"""
        more, branches = self._branch([], "%(depth)s + 1")
        return passing, f"NOT EXISTS (SELECT FROM {branches} CROSS JOIN LATERAL ({more}) n OFFSET %(depth)s)"

    def _among_newest_of_many(self) -> tuple[str, str]:
        """Reads the newest incidents of many projects, or of combinations of project and team.

        The edge of a branch that reached its limit is the start date of its last row. Incidents beyond that edge may be
        missing, so only the rows before the nearest edge are used.
        """
        branch, branches = self._branch([], "%(depth)s")
        newer, edge, outermost, beyond = (
            (">", "min", "max", "-infinity") if self.direction == "DESC" else ("<", "max", "min", "infinity")
        )
        passing = f"""near AS MATERIALIZED (
    SELECT b.* FROM {branches} CROSS JOIN LATERAL (
        SELECT x.*, CASE WHEN count(*) OVER () = %(depth)s THEN {edge}(x.started) OVER () END AS edge
        FROM ({branch}) x) b),
passing AS MATERIALIZED (
    SELECT n.* FROM (
        SELECT DISTINCT n.started, n.incident_id FROM near n
        WHERE n.started {newer} coalesce((SELECT {outermost}(edge) FROM near), '{beyond}') {self._order} OFFSET 0) n
    WHERE EXISTS {self._passes(self.of_incident)} {self._order} LIMIT %(size)s)"""
        return passing, "NOT EXISTS (SELECT FROM near WHERE edge IS NOT NULL)"

    @property
    def _order(self) -> str:
        return f"ORDER BY n.started {self.direction}, n.incident_id {self.direction}"

    def _passes(self, conditions: list[str]) -> str:
        return (
            "(SELECT FROM incident i WHERE i.organization_id = %(organization_id)s AND i.id = n.incident_id"
            f" AND {' AND '.join(conditions)} OFFSET 0)"
        )

    def as_planner_chooses(self) -> str:
        """Builds the statement that tests all incidents. The planner chooses the plan for the actual values."""
        conditions = ["i.organization_id = %(organization_id)s", *self.of_incident]
        if self.list_filter.followed_by is not None:
            source = "incident_subscription f JOIN incident i ON i.organization_id = f.organization_id"
            source += " AND i.id = f.incident_id"
            conditions.append("f.member_id = %(followed_by)s")
        else:
            source = "incident i"
        if self.of_all_projects:
            started, id_, team = "i.date_started", "i.id", "coalesce(i.team_id, 0)"
            conditions += self._on_link(started, id_, "i.status")
            conditions.append(
                "EXISTS (SELECT FROM incident_project ip"
                " WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id)"
            )
        else:
            started, id_, team = "ip.started", "ip.incident_id", "ip.team_id"
            source += " JOIN incident_project ip ON ip.incident_id = i.id"
            conditions += ["ip.project_id = ANY(%(project_ids)s)", *self._on_link(started, id_, "ip.status")]
            if self.list_filter.open:
                conditions.append("i.status <> 2")  # repeated, so that the index of open titles can be used
        if self.list_filter.team_ids is not None:
            conditions.append(f"{team} = ANY(%(team_ids)s)")
        return self.with_columns(
            f"SELECT DISTINCT {started} AS started, {id_} AS incident_id FROM {source} WHERE {' AND '.join(conditions)}"
            f" ORDER BY started {self.direction}, incident_id {self.direction} LIMIT %(size)s"
        )

    def with_columns(self, page: str, *, has_incident: bool = False) -> str:
        """Adds the columns that a list shows to the incidents of a page.

        `has_incident`: the rows of the page are those of `incident`. The last column is the silence that may hold an
        open incident. Hardly any has one, and finding out here whether it does took a fifth of the statement's time.
        """
        source = f"({page}) i"
        if not has_incident:
            source = f"({page}) page JOIN incident i"
            source += " ON i.organization_id = %(organization_id)s AND i.id = page.incident_id"
        order = ("i.date_started", "i.id") if has_incident else ("page.started", "page.incident_id")
        return f"""
SELECT i.id, i.identifier, i.title, i.status, i.environment, i.date_started, i.date_closed, team.name,
       seen.times, seen.by_caller,
       (SELECT m.name FROM member m WHERE m.organization_id = i.organization_id AND m.id = i.owner_id),
       coalesce(i.owner_id = %(member_id)s, false), CASE WHEN i.status <> 2 THEN i.silence_id END
FROM {source}
LEFT JOIN team ON team.organization_id = i.organization_id AND team.id = i.team_id
CROSS JOIN LATERAL (SELECT count(*) AS times, coalesce(bool_or(s.member_id = %(member_id)s), false) AS by_caller
                    FROM incident_seen s WHERE s.incident_id = i.id) seen
ORDER BY {", ".join(f"{column} {self.direction}" for column in order)}
"""
