// A client and a server of Node's ws, told what to do line by line: see ../peers.py.
// Arguments: the package, and the files with the certificate and the key of the secure server.
'use strict';

const fs = require('fs');
const http = require('http');
const https = require('https');
const readline = require('readline');

const [packageName, certificate, key] = process.argv.slice(2);
const isOld = packageName === 'ws-0.4.31';
const WebSocket = require(packageName);
const WebSocketServer = isOld ? WebSocket.Server : WebSocket.WebSocketServer;
const connections = new Map();

function report(name, event, ...args) {
  const encoded = args.map((arg) => (Buffer.isBuffer(arg) ? { base64: arg.toString('base64') } : arg));
  process.stdout.write(JSON.stringify([name, event, ...encoded]) + '\n');
}

function decode(value) {
  return value !== null && typeof value === 'object' && 'base64' in value ? Buffer.from(value.base64, 'base64') : value;
}

function parse(target) {
  const url = new URL(target, 'ws://localhost');
  return { name: url.pathname, options: url.searchParams };
}

function attach(ws, name, options) {
  connections.set(name, ws);
  if (options.has('pipe')) {
    const duplex = WebSocket.createWebSocketStream(ws);
    duplex.pipe(duplex);
    duplex.on('error', () => {}); // that is reported below
  } else {
    reportMessages(ws, name, options);
  }
  ws.on('ping', (data) => report(name, 'ping', data || Buffer.alloc(0)));
  ws.on('pong', (data) => report(name, 'pong', data || Buffer.alloc(0)));
  ws.on('error', (error) => report(name, 'error', String(error.message || error)));
  ws.on('close', (code, reason) => report(name, 'close', code, String(reason)));
}

function reportMessages(ws, name, options) {
  ws.on('message', (data, flags) => {
    const binary = isOld ? flags.binary === true : flags;
    if (options.has('echo')) {
      ws.send(data, { binary });
    } else {
      report(name, 'message', binary ? data : String(data));
    }
  });
}

function upgrade(request, socket, head) {
  const { name, options } = parse(request.url);
  const serverOptions = { noServer: true, verifyClient: () => !options.has('refuse') };
  if (options.has('deflate')) {
    serverOptions.perMessageDeflate = JSON.parse(options.get('deflate'));
  }
  if (options.has('protocol')) {
    const chosen = options.get('protocol');
    serverOptions.handleProtocols = isOld
      ? (offered, callback) => callback(true, chosen || undefined)
      : () => chosen || false;
  }
  const greeting = options.get('greeting');
  if (greeting !== null) {
    socket.cork(); // the answer to the handshake and the greeting leave together
  }
  new WebSocketServer(serverOptions).handleUpgrade(request, socket, head, (ws) => {
    attach(ws, name, options);
    report(name, 'open', ws.protocol || null, request.headers);
    if (greeting !== null) {
      ws.send(greeting);
    }
  });
  if (greeting !== null) {
    socket.uncork();
  }
}

function connect(target, { protocols, version, origin, headers, ca, deflate }) {
  const { name, options } = parse(target);
  const clientOptions = Object.entries({
    protocolVersion: version,
    origin,
    headers,
    perMessageDeflate: deflate,
    ca: ca && fs.readFileSync(ca),
    protocol: isOld && protocols ? protocols.join(', ') : undefined,
  }).filter(([, value]) => value !== undefined);
  const ws = new WebSocket(target, isOld ? [] : protocols || [], Object.fromEntries(clientOptions));
  ws.on('open', () => report(name, 'open', ws.protocol || null, {}));
  attach(ws, name, options);
}

function sendFragments(ws, fragments, pings) {
  const pieces = fragments.map(decode);
  const binary = Buffer.isBuffer(pieces[0]);
  const sendNext = (send) => {
    const piece = pieces.shift();
    send(piece, pieces.length === 0);
    if (pings && pieces.length > 0) {
      ws.ping(String(fragments.length - pieces.length));
    }
  };
  if (isOld) {
    ws.stream({ binary }, (error, send) => sendNext(send));
  } else {
    while (pieces.length > 0) {
      sendNext((piece, fin) => ws.send(piece, { binary, fin }));
    }
  }
}

const commands = {
  send: (ws, data) => ws.send(decode(data)),
  fragments: sendFragments,
  ping: (ws, data) => ws.ping(decode(data)),
  pong: (ws, data) => ws.pong(decode(data)),
  close: (ws, ...args) => ws.close(...args),
  vanish: (ws) => ws.terminate(),
};

readline
  .createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [command, name, ...args] = JSON.parse(line);
    if (command === 'connect') {
      connect(name, ...args);
    } else {
      commands[command](connections.get(name), ...args);
    }
  })
  .on('close', () => process.exit(0));

const plain = http.createServer().on('upgrade', upgrade);
const secure = https
  .createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) })
  .on('upgrade', upgrade)
  .on('tlsClientError', () => {}); // a client that trusts somebody else
plain.listen(0, '127.0.0.1', () => {
  secure.listen(0, '127.0.0.1', () => report('', 'listening', plain.address().port, secure.address().port));
});
