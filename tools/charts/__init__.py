"""The Helm charts' tool: makes values, schemas and READMEs of `deploy/helm/values`, and renders what is committed.

`helm` is built from its Go module once and kept in the user's cache; nothing here reaches a cluster.
"""
