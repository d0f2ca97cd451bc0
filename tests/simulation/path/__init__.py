"""The simulator of the whole path: real hosts of two services, each process on a loop of its own in virtual time.

`loop` and `world` are time, `journal`, `store`, `stream`, `members` and `network` are what surrounds a process and
fails, `chat` and `money` are the services, `process` is one of their processes, `clients` keep asking, `books` and
`checks` judge from the logs alone, `run` plays a seed.
"""
