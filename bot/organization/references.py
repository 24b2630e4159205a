"""Checks across the entries of the organization file: what stands twice, and names of what is not there.

They work on the plain values, so that their mistakes are reported together with those of single fields.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from bot.digests.drafts import parse_filters
from bot.incidents.errors import InvalidInput
from bot.organization.tree import Mistake, Tree, format_path, format_value
from bot.organization.tree import Path as TreePath


def check_references(tree: Tree) -> Iterator[Mistake]:
    """Finds what stands twice, and names of what is not there."""
    assert isinstance(tree.value, dict)
    for section, key in (
        ("teams", "slug"),
        ("projects", "slug"),
        ("members", "email"),
        ("teams", "slack_usergroup"),
        ("digests", "name"),
    ):
        yield from _find_duplicates(tree, ((section, i, key) for i in _indexes(tree, section)))
    yield from _find_duplicate_users(tree)
    workspaces = ("organization", "workspaces")
    yield from _find_duplicates(tree, ((*workspaces, i) for i in _indexes(tree, *workspaces)))
    for section in ("projects", "members"):
        for i in _indexes(tree, section):
            for key in ("teams", "channels"):
                yield from _find_duplicates(tree, ((section, i, key, j) for j in _indexes(tree, section, i, key)))
    slugs = [_get_value(tree, ("teams", i, "slug")) for i in _indexes(tree, "teams")]
    known = {slug for slug in slugs if isinstance(slug, str)}
    for section in ("projects", "members"):
        for i in _indexes(tree, section):
            for j in _indexes(tree, section, i, "teams"):
                path = (section, i, "teams", j)
                slug = _get_value(tree, path)
                if isinstance(slug, str) and slug not in known:
                    near = difflib.get_close_matches(slug, known, n=1)
                    hint = f"; did you mean {near[0]}?" if near else " under teams:"
                    yield Mistake(tree.line(path), format_path(path), f"there is no team {format_value(slug)}{hint}")

    yield from _check_digest_references(tree, known)


def _check_digest_references(tree: Tree, teams: set[str]) -> Iterator[Mistake]:
    """Owners that are no members, and filters that name projects and teams that are not there."""
    emails, projects = (
        {
            value.lower()
            for i in _indexes(tree, section)
            if isinstance(value := _get_value(tree, (section, i, key)), str)
        }
        for section, key in (("members", "email"), ("projects", "slug"))
    )
    for i in _indexes(tree, "digests"):
        owner, written = (_get_value(tree, ("digests", i, key)) for key in ("owner", "filters"))
        named = [("owner", "member", owner.lower(), emails)] if isinstance(owner, str) else []
        if isinstance(written, str):
            try:
                query = parse_filters(written)
            except InvalidInput:
                continue  # reported by the check of the field itself
            named += [("filters", "project", query.project, projects)] if query.project else []
            named += [("filters", "team", team, {*teams, "mine", "unassigned"}) for team in query.teams]
        for key, kind, name, there in named:
            if name not in there:
                near = difflib.get_close_matches(name, there, n=1)
                path = ("digests", i, key)
                hint = f"; did you mean {near[0]}?" if near else f" under {kind}s:"
                yield Mistake(tree.line(path), format_path(path), f"there is no {kind} {format_value(name)}{hint}")


def _find_duplicates(tree: Tree, paths: Iterator[TreePath]) -> Iterator[Mistake]:
    first: dict[str, TreePath] = {}
    for path in paths:
        value = _get_value(tree, path)
        if not isinstance(value, str):
            continue
        folded = value.lower() if path[-1] == "email" else value
        if folded in first:
            line = tree.line(first[folded])
            yield Mistake(
                tree.line(path), format_path(path), f"{format_value(value)} stands twice; first on line {line}"
            )
        else:
            first[folded] = path


def _find_duplicate_users(tree: Tree) -> Iterator[Mistake]:
    """Slack ids of two members in the same workspace. An id without a workspace is one of all."""
    first: dict[str, list[tuple[int, str | None, TreePath]]] = {}
    for i in _indexes(tree, "members"):
        path: TreePath = ("members", i, "slack")
        value = _get_value(tree, path)
        ids = value.items() if isinstance(value, dict) else [(None, value)]
        for workspace, user in ids:
            if not isinstance(user, str):
                continue
            here = path if workspace is None else (*path, workspace)
            for member, other, there in first.setdefault(user, []):
                if member != i and (None in (workspace, other) or workspace == other):
                    line = tree.line(there)
                    yield Mistake(
                        tree.line(here), format_path(here), f"{format_value(user)} stands twice; first on line {line}"
                    )
                    break
            first[user].append((i, workspace, here))


def _get_value(tree: Tree, path: TreePath) -> Any:
    value: Any = tree.value
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _indexes(tree: Tree, *path: str | int) -> range:
    value = _get_value(tree, path)
    return range(len(value)) if isinstance(value, list) else range(0)
