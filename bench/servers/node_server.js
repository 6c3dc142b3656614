// Node's ws with bufferutil: argument echo or broadcast; prints the port it listens on.
'use strict';

require('bufferutil'); // ws takes it when it is there; here it has to be
const { WebSocketServer } = require('ws');

const mode = process.argv[2];
const wss = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });

wss.on('listening', () => console.log(wss.address().port));
wss.on('connection', (ws) => {
  ws.on('message', (message, isBinary) => {
    if (mode === 'echo') {
      ws.send(message, { binary: isBinary });
    } else {
      wss.clients.forEach((client) => client.send(message, { binary: isBinary }));
    }
  });
});
