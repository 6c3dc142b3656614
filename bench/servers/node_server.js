// Node's ws with bufferutil; its one argument is that of the servers in Python, see common.py.
'use strict';

require('bufferutil'); // ws takes it when it is there; here it has to be
const fs = require('fs');
const http = require('http');
const https = require('https');
const { WebSocketServer } = require('ws');

const settings = JSON.parse(process.argv[2]);
const server = settings.certificate
  ? https.createServer({ cert: fs.readFileSync(settings.certificate), key: fs.readFileSync(settings.key) })
  : http.createServer();
const perMessageDeflate = settings.deflate && { threshold: 0, zlibDeflateOptions: { level: 1 } };
const wss = new WebSocketServer({ server, perMessageDeflate });

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
wss.on('connection', (ws) => {
  ws.on('message', (message, isBinary) => {
    if (settings.mode === 'broadcast') {
      wss.clients.forEach((client) => client.send(message, { binary: isBinary }));
    } else {
      ws.send(message, { binary: isBinary });
    }
  });
});
