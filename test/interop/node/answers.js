// Node's ws 8 as the client of many servers' answers and redirects: see ../test_answers.py.
//
//   node answers.js < cases    one case a line, {url, protocols, options, listener}; prints its outcome as JSON
'use strict';

const readline = require('readline');
const { WebSocket } = require('ws');

function outcomeOf({ url, protocols, options, listener }) {
  return new Promise((resolve) => {
    const redirects = [];
    let ws;
    try {
      ws = new WebSocket(url, protocols, { handshakeTimeout: 5000, rejectUnauthorized: false, ...options });
    } catch (error) {
      resolve({ end: 'error', text: error.message, url: '', redirects });
      return;
    }
    const finish = (outcome) => {
      resolve({ ...outcome, url: ws.url, redirects });
      ws.terminate();
    };
    ws.on('open', () => finish({ end: 'open', protocol: ws.protocol, extensions: ws.extensions }));
    ws.on('error', (error) => finish({ end: 'error', text: error.message }));
    if (listener.redirect) {
      ws.on('redirect', (to, request) => {
        redirects.push(to);
        for (const name of listener.redirect.remove) request.removeHeader(name);
        for (const [name, value] of listener.redirect.set) request.setHeader(name, value);
      });
    }
    if (listener.unexpected) {
      ws.on('unexpected-response', (request, response) => {
        const pieces = [];
        const done = () => finish({
          end: 'refused',
          status: response.statusCode,
          message: response.statusMessage,
          version: response.httpVersion,
          headers: response.headers,
          raw: response.rawHeaders,
          body: Buffer.concat(pieces).toString('latin1'),
          complete: response.complete
        });
        response.on('data', (piece) => pieces.push(piece));
        response.on('error', () => {});
        response.on('close', done);
      });
    }
  });
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await outcomeOf(JSON.parse(line))));
  }
}

main();
