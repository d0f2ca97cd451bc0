"""Building an edition of the store from the log, beside the live one and under traffic, and switching to it.

`documents` folds a partition from zero, or from where an earlier try came to, into the edition; `rows` asks the feed
of rows about the logs again; `comparison` looks for differences between the two editions; `rebuilding` goes through
these for one partition after the other and switches where nothing differs. `pace` leaves the process to its traffic.

An owner needs to know nothing of it: documents of both editions are the same at the checkpoint at which it is switched,
and the projector and the merging of rows pause for that moment.
"""

from chapar_sourcing.rebuild.comparison import TooBusy
from chapar_sourcing.rebuild.rebuilding import Phase, Rebuilding, Rebuilt
from chapar_sourcing.rebuild.reports import Reports
from chapar_sourcing.rebuild.steps import RebuildRefused, Step, check_owned

__all__ = ["Phase", "RebuildRefused", "Rebuilding", "Rebuilt", "Reports", "Step", "TooBusy", "check_owned"]
