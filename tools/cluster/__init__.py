"""A Kubernetes of one's own: the real API server, controllers and scheduler on loopback, and nodes that pretend.

What admission, controllers, the scheduler and evictions do is real. Nodes run nothing: pods bound to one of them are
said to run and to be ready, so networks, policies of networks and load cannot be shown here.
"""
