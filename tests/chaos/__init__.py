"""The fault suite: real RabbitMQ, Postgres and workers, a local e-conomic that misbehaves, and a count at the end."""
