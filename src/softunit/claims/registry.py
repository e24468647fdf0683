"""The order of claims, and finding one by its id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from softunit._checks import check_known
from softunit.claims.base import Claim
from softunit.errors import InputError

SAME = {"3.17": "1.42", "4.27": "3.16"}
"""Papers that are listed twice: the id that their claim does not have, and the one it has."""


def in_order(*claims: Claim) -> tuple[Claim, ...]:
    """Return the claims sorted by id, as numbers: 1.5 before 1.12.

    Raises
    ------
    InputError
        If two have one id.
    """
    counts = Counter(claim.id for claim in claims)
    for identity, count in counts.items():
        if count > 1:
            raise InputError(f"There are {count} claims {identity!r}: give each its own id.")
    return tuple(sorted(claims, key=lambda claim: claim.order))


def chosen(ids: Iterable[str], claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """Return the claims with these ids, each once, in the order of the ids.

    Parameters
    ----------
    ids : iterable of str
        As "0.4" and "1.12".
    claims : iterable of Claim
        What there is.

    Raises
    ------
    InputError
        If an id is unknown; the sentence has near ids and all ids.
    """
    known = {claim.id: claim for claim in claims}
    wanted = list(dict.fromkeys(SAME.get(identity, identity) for identity in ids))
    for identity in wanted:
        check_known("claim", identity, known)
    return tuple(known[identity] for identity in wanted)
