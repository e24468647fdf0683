"""Who runs: ours and others, each made to try for the same gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from softunit._checks import check_known
from softunit.bench.peers.base import Answer, Peer, from_model
from softunit.bench.peers.descent import DESCENT
from softunit.bench.peers.others import OTHERS
from softunit.bench.peers.ours import OURS
from softunit.bench.peers.scikit_learn import SAGA, SCIKIT_LEARN

PEERS: dict[str, Peer] = {
    peer.name: peer for peer in (*OURS, *SCIKIT_LEARN, *OTHERS, *DESCENT, SAGA)
}
"""Every peer by its name, in the order in which they run: ours, and then the strongest first."""

RIVALS = ("sklearn-", "cyanure")
"""How the names begin of those whose best time is compared with ours in the summary."""


def chosen_peers(names: Iterable[str], among: Mapping[str, Peer] | None = None) -> list[Peer]:
    """Return the peers of these names in the order in which they run, or the standard ones.

    An unknown name is an `InputError` with near names.

    Parameters
    ----------
    names : iterable of str
    among : mapping of str to Peer, default None
        `PEERS` if None.
    """
    names, among = list(names), PEERS if among is None else among
    for name in names:
        check_known("peer", name, among)
    return [peer for peer in among.values() if (peer.name in names if names else peer.standard)]


__all__ = ["Answer", "PEERS", "Peer", "RIVALS", "chosen_peers", "from_model"]
