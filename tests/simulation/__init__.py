"""A deterministic simulator of owners, their journal, their store and their clients: one seed, one trace.

`world` is the clock, the network and the journal, `store` the servers of the store, `node` runs a real `Owner` with its
projector, `desk` knows who asks it, `loads` what it asks the store; `clients` send and retry, `toy` is the domain they
use, `run` plays a seed. `model` is what the log means, `steps` says what must hold after each step, `checks` what at
the end. What may fail here and how often is in `faults`; each fault that fires has a number, and a replay may suppress
it.

`damage` is a lane of its own: logs that are cut or changed, and who must notice.

`playing` says what a lane of the simulator offers: this one, and others beside it. `seeds` plays many, `shrink` finds
the shortest trace that still fails, `planted` are bugs made on purpose, `mutants` shows that each is caught.
"""
