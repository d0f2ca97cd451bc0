"""A canary: two accounts of its own that send each other messages and money, there and back, for as long as it runs.

`Account` is one of them with whoever reads its inbox, `Rounds` is what is tried again and again, `CanaryMeasures` what
is told of it, `keep_flying` the whole from sign-in to an orderly end. Money only goes there and back: what both wallets
hold together never changes. A command whose outcome is unknown is settled under its own request id before anything new
is tried, also by the next process: the profile keeps it.
"""

from chapar_client.canary._account import Account
from chapar_client.canary._flying import keep_flying
from chapar_client.canary._measures import MEASURES, STAGES, CanaryMeasures, MeasuresServer
from chapar_client.canary._rounds import Rounds, Told

__all__ = ["MEASURES", "STAGES", "Account", "CanaryMeasures", "MeasuresServer", "Rounds", "Told", "keep_flying"]
