"""The operators' console: server-rendered pages behind the sign-in, whole without JavaScript, live with it.

A page asks ``require``, reads through ``worker.store`` and ``worker.insight``, and answers with ``view.show``. What it
shares with the others: ``filters`` and ``paging`` for lists, ``charts``, and ``live`` for parts that renew themselves.
"""
