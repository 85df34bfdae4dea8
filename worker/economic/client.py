"""The process's client of e-conomic: one connection pool, from which each agreement gets its own calls."""

from pydantic import SecretStr

from worker.economic.call import Grant
from worker.economic.endpoints import EconomicApi
from worker.economic.transport import Transport


class EconomicClient(Transport):
    """One per process. Use as a context manager, or ``start`` and ``close`` it."""

    def for_grant(self, grant_token: SecretStr, *, agreement_number: int | None, bulk: bool = False) -> EconomicApi:
        """Return the calls of one agreement. The token is kept secret and put on requests only.

        ``agreement_number`` is ``None`` only while it is still to be learned from ``get_self``. ``bulk``: calls of an
        import, which leave the last of the agreement's budget to people.
        """
        return EconomicApi(self, Grant(grant_token, agreement_number, bulk=bulk))
