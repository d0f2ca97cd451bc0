"""A deterministic simulator of owners, their journal, their store and their clients: one seed, one trace.

`world` is the clock, the network and the journal, `node` runs a real `Owner` with its projector, `clients` send and
retry, `toy` is the domain they use, `checks` says what must hold, `mutants` are owners with bugs planted on purpose,
`run` plays seeds. What may fail here and how often is in `faults`.
"""
