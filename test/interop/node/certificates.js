// TLS of Node's ws 8, with certificates on both ends: see ../test_tls.py.
// Arguments: a folder with ca.pem, cert.pem, key.pem; then for a client what to call, and options as JSON.
'use strict';

const fs = require('fs');
const https = require('https');
const path = require('path');
const { WebSocket, WebSocketServer } = require('ws');

const [folder, url, options] = process.argv.slice(2);
const read = (name) => fs.readFileSync(path.join(folder, name));
const material = { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };

function print(value) {
  process.stdout.write(JSON.stringify(value) + '\n');
}

function serve() {
  // As browsers' servers do.
  const server = https.createServer({ ...material, requestCert: true, ALPNProtocols: ['http/1.1'] });
  new WebSocketServer({ server }).on('connection', (ws, request) => {
    const { socket } = request;
    ws.send(JSON.stringify([socket.authorized, socket.getPeerCertificate().subject.CN, socket.servername, socket.alpnProtocol]));
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1', () => print(server.address().port));
  process.stdin.on('end', () => process.exit(0)).resume();
}

function call() {
  const { anonymous, ...more } = JSON.parse(options);
  const ws = new WebSocket(url, { ...(anonymous ? { ca: material.ca } : material), ...more });
  ws.on('message', (message) => {
    print([String(message), ws._socket.authorized, ws._socket.getProtocol()]);
    ws.close();
  });
  ws.on('error', (error) => print(['error', error.code || error.message]));
}

if (url) {
  call();
} else {
  serve();
}
