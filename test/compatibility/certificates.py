"""A certificate authority, and what it has issued for an HTTPS server and its clients."""

from __future__ import annotations

import ssl

import trustme


class Certificates:
    """Where the original's suite switches verification off, the client is told whom to trust."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self.ca = self._authority.cert_pem.bytes()
        issued = self._authority.issue_cert('localhost', '127.0.0.1')
        self.server = {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}
        self._issued = issued
        issued = self._authority.issue_cert('client')
        self.client = {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}

    def context(self, verify: ssl.VerifyMode = ssl.CERT_NONE) -> ssl.SSLContext:
        """For an HTTP server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issued.configure_cert(context)
        self._authority.configure_trust(context)
        context.verify_mode = verify
        return context
