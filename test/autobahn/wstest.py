"""Autobahn's wstest, listening on 127.0.0.1 alone, on a port the system chooses. Runs on Python 2.7."""

import functools
import sys

from autobahntestsuite import wstest
from twisted.internet import reactor

listen = reactor.listenTCP


def listen_locally(port, factory, backlog=50, interface=''):
    listening = listen(0, factory, backlog, '127.0.0.1')
    factory.externalPort = listening.getHost().port  # what it compares the Host header with
    sys.stdout.write('Listening on port ' + str(factory.externalPort) + '\n')
    return listening


reactor.listenTCP = functools.wraps(listen)(listen_locally)
wstest.run()
