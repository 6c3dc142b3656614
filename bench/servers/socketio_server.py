"""Flask-SocketIO with Redis as its message queue, on gevent, started as its documentation starts it."""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402

from flask import Flask, request  # noqa: E402
from flask_socketio import SocketIO, emit, join_room  # noqa: E402

given = json.loads(sys.argv[1])
app = Flask(__name__)
socketio = SocketIO(app, async_mode='gevent', message_queue=given['redis'])
rooms = {}


@socketio.on('connect')
def connect():
    rooms[request.sid] = request.args['room']
    join_room(request.args['room'])
    emit('joined')


@socketio.on('disconnect')
def disconnect(reason):
    del rooms[request.sid]


@socketio.on('say')
def say(text):
    emit('heard', text, to=rooms[request.sid])


socketio.run(app, host=given['host'], port=given['port'])
