"""The event sourcing engine: how commands become records of a log, and how a log becomes state.

The way of a command, file by file: `partitions` finds its partition, `requests` judges its id, `owner` decides and
commits it, `records` is what is written, `fold` says which records count, `ports` is what the engine needs from the
world and `adapters` is who gives it. `shell` runs an owner on asyncio. From the log on: `projector` writes documents
to the store, `relay` publishes events, `reactor` turns events into commands, `rows` and `watch` keep live views.
"""
