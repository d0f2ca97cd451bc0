"""What every Chapar process shares: settings, servers, routing tables, errors, telemetry, start and shutdown.

The way of a call through an owner service: `rpc_server` listens, `interceptors` measure, log and end it with a status,
`peers` lets only this installation's processes in, `routing` reads the method options, `callers` says who asks about
which key, `public_rpcs` runs it over the engine as the service's `api` describes it, `position_tokens` keep a client's
reads monotonic, `refusals` is the one place that maps errors to statuses. `peer_rpcs` is what reactors and gateways
ask. `forwarder` is the way to an owner from elsewhere.

The life of a process: `process` wires everything and ends it in order, `settings` and `secrets` are read, `ports` knows
the data folder, `telemetry` has logs, metrics and traces, `command_line` turns failures into one line, `parent` ends
orphans, `digest_command` compares log and store. `user_ids` and `tokens` are what services know users by.
"""
