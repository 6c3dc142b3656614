// Node's ws with bufferutil; its one argument, and how it counts, are those of the clients in Python, see common.py.
'use strict';

require('bufferutil'); // ws takes it when it is there; here it has to be
const crypto = require('crypto');
const WebSocket = require('ws');

const settings = JSON.parse(process.argv[2]);
const message = crypto.randomBytes(settings.size);
const ws = new WebSocket(`ws://127.0.0.1:${settings.port}/`, { perMessageDeflate: false });
const CHECKED = 16;

let messages = 0;
let started = null;
let end = performance.now() + settings.warm_up * 1000;

function nextPhase() {
  const { user, system } = process.cpuUsage();
  const now = { messages, seconds: performance.now() / 1000, cpu: (user + system) / 1e6 };
  if (started) {
    const result = {};
    for (const name in now) result[name] = now[name] - started[name];
    console.log(JSON.stringify(result));
    process.exit();
  }
  started = now;
  end = performance.now() + settings.seconds * 1000;
}

ws.on('open', () => {
  for (let i = 0; i < settings.in_flight; i++) ws.send(message);
});
ws.on('message', (answer) => {
  if (!answer.equals(message)) throw new Error('a message came back changed');
  messages += 1;
  if (messages % CHECKED === 0 && performance.now() > end) nextPhase();
  ws.send(message);
});
