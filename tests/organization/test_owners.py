"""An organization that has owners keeps one, whatever is applied."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.organization.apply import NotApplicable
from storage.engine import Store
from tests.organization.test_apply import acme, run, state
from tests.organization.test_file import ACME

BEN = "  - {email: ben@acme.test, name: Ben Tal, role: member}\n"
NOBODY = ACME[: ACME.index("members:")]
NONE_LEFT = "acme would have no owner without "
ONLY = rf"{NONE_LEFT}ada@acme\.test; leave one owner, or make another member an owner$"


def owners(store: Store) -> list[str]:
    return sorted(one.email for one in state(store).members if one.role == "owner" and one.removed is None)


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_only_owner_is_neither_demoted_nor_removed(store: Store, *, dry_run: bool) -> None:
    run(store, acme(ACME + BEN))
    before = state(store)
    with pytest.raises(NotApplicable, match=rf"members\[1\]\.role: {ONLY}"):
        demoted = "members:\n" + BEN + ACME.split("members:\n")[1].replace("owner", "manager")
        run(store, acme(NOBODY + demoted + "  - {email: new@acme.test, name: New}\n"), dry_run=dry_run)
    with pytest.raises(NotApplicable, match=f"members: {ONLY}"):
        run(store, acme(NOBODY + "members:\n" + BEN), prune=True, dry_run=dry_run)
    assert state(store) == before


def test_several_owners_do_not_go_together(store: Store) -> None:
    run(store, acme(ACME + BEN.replace("member}", "owner}")))
    with pytest.raises(NotApplicable, match=rf"members\[0\]\.role: {NONE_LEFT}ada@acme.test, ben@acme.test;"):
        run(store, acme(ACME, ("role: owner", "role: admin")), prune=True)
    run(store, acme(ACME + BEN))
    assert owners(store) == ["ada@acme.test"]


@pytest.mark.parametrize(
    "file",
    [
        ACME.replace("role: owner", "role: member") + BEN.replace("member}", "owner}"),
        NOBODY + "members:\n" + BEN.replace("member}", "owner}"),
        NOBODY + "members:\n  - {email: new@acme.test, name: New, role: owner}\n",
        # The same person, with another address.
        ACME.replace("ada@acme.test", "ada.obi@acme.test"),
    ],
    ids=["promoted", "another stays", "new", "other address"],
)
def test_the_file_may_make_another_owner(store: Store, file: str) -> None:
    run(store, acme(ACME + BEN))
    run(store, acme(file), prune=True)
    assert len(owners(store)) == 1 and owners(store) != ["ada@acme.test"]


def test_an_owner_who_was_removed_and_comes_back_counts(store: Store) -> None:
    both = ACME + BEN.replace("member}", "owner}")
    run(store, acme(both))
    run(store, acme(), prune=True)
    run(store, acme(both.replace("role: owner", "role: member", 1)), prune=True)
    assert owners(store) == ["ben@acme.test"]


def test_an_owner_whom_the_file_does_not_name_is_enough(store: Store) -> None:
    """Without `prune` they stay; nor is somebody removed who became an owner in Slack."""
    run(store, acme(ACME + BEN.replace("member}", "owner}")))
    demoted = ACME.replace("role: owner", "role: member")
    run(store, acme(demoted))
    with store.write() as tx:
        tx.exec_driver_sql("UPDATE member SET changed_in_slack = true WHERE email = 'ben@acme.test'")
    run(store, acme(demoted), prune=True)
    assert owners(store) == ["ben@acme.test"]


def test_who_has_never_had_an_owner_needs_none(store: Store) -> None:
    run(store, acme(NOBODY + "members:\n" + BEN))
    run(store, acme(NOBODY), prune=True)
    assert owners(store) == []


def test_two_files_that_each_demote_another_owner_leave_one(store: Store) -> None:
    both = ACME + BEN.replace("member}", "owner}")
    run(store, acme(both))
    start = threading.Barrier(2)

    def demote(file: str) -> bool:
        start.wait()
        try:
            run(store, acme(file))
        except NotApplicable:
            return False
        return True

    # Each leaves the other owner unnamed, and so as they are.
    files = [ACME.replace("role: owner", "role: member"), NOBODY + "members:\n" + BEN]
    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(demote, files)) == [False, True]
    assert len(owners(store)) == 1
