"""RabbitMQ: the topology, one consumer per lane with explicit verdicts, and a publisher with confirms.

Deliveries are opaque bytes here; what they mean is decided above. See ``deploy/decisions/0003-broker-topology.md``.
"""
