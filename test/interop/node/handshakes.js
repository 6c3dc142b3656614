// Node's ws 8 as one side of many opening handshakes: see ../test_handshakes.py.
//
//   node handshakes.js server            prints its port, and takes whatever comes
//   node handshakes.js client < cases    one case a line, [URL, protocols]; prints for each [accepted, extensions, text]
'use strict';

const readline = require('readline');
const { WebSocket, WebSocketServer } = require('ws');

async function connectAll() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [url, protocols] = JSON.parse(line);
    const ws = new WebSocket(url, protocols, { handshakeTimeout: 20000 });
    const result = await new Promise((resolve) => {
      ws.on('open', () => resolve([true, ws.extensions, ws.protocol]));
      ws.on('error', (error) => resolve([false, '', error.message]));
    });
    ws.on('error', () => {});
    ws.terminate();
    console.log(JSON.stringify(result));
  }
}

if (process.argv[2] === 'client') {
  connectAll();
} else {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: true });
  server.on('connection', (ws) => ws.on('error', () => {}));
  server.on('listening', () => console.log(server.address().port));
  process.stdin.resume().on('end', () => process.exit(0));
}
