// Takes files, and gives them back.  Start it with:  node upload.js port folder
//
// A client sends {"put": name, "size": bytes, "sha1": checksum} and then the content, in as many binary messages as it
// likes; each is answered with how far it has got. {"get": name} sends a file back as one binary message,
// {"lines": name} as a text, a fragment for each line; {"stop": true} ends the server.

var WebSocketServer = require('ws').Server
  , crypto = require('crypto')
  , fs = require('fs')
  , path = require('path');

var folder = process.argv[3]
  , limit = 1024 * 1024;

var wss = new WebSocketServer({
  port: Number(process.argv[2]),
  host: '127.0.0.1',
  verifyClient: function(info) { return info.origin == 'http://files.example.com' && !info.secure; }
}, function() {
  console.log(wss._server.address().port);
});

function isFileName(name) {
  return /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(name);
}

function sha1(content) {
  return crypto.createHash('sha1').update(content).digest('hex');
}

function answer(ws, object) {
  ws.send(JSON.stringify(object));
}

// What comes as text

function put(ws, header) {
  if (!isFileName(header.put)) return ws.close(4000, 'bad file name');
  if (header.size > limit) return ws.close(1009, 'more than ' + limit + ' bytes');
  ws.header = header;
  ws.pieces = [];
  ws.received = 0;
  answer(ws, {ready: header.put});
}

function get(ws, header) {
  var file = path.join(folder, header.get);
  if (!isFileName(header.get) || !fs.existsSync(file)) return answer(ws, {missing: header.get});
  function sent(error) {
    console.log(header.get + ' sent: ' + (error ? error.message : 'all of it'));
  }
  ws.send(fs.createReadStream(file), {binary: true}, sent);
  // This waits until the file is through.
  answer(ws, {sent: header.get});
}

function lines(ws, header) {
  var rest = fs.readFileSync(path.join(folder, header.lines), 'utf8').split('\n');
  function nextLine(error, send) {
    if (error) return console.log(header.lines + ': ' + error.message);
    var line = rest.shift();
    send(line, rest.length == 0);
  }
  ws.stream({mask: false}, nextLine);
  answer(ws, {sent: header.lines});
}

function command(ws, text) {
  try {
    var header = JSON.parse(text);
  } catch (error) {
    return ws.close(1007, 'not JSON');
  }
  if ('put' in header) put(ws, header);
  else if ('get' in header) get(ws, header);
  else if ('lines' in header) lines(ws, header);
  else if ('stop' in header) ws.close(1000, 'stopped');
}

// What comes as binary data

function piece(ws, data) {
  if (!ws.header) return ws.close(1003, 'what is this?');
  ws.pieces.push(data);
  ws.received += data.length;
  answer(ws, {received: ws.received, percent: Math.floor(100 * ws.received / ws.header.size)});
  if (ws.received >= ws.header.size) store(ws, ws.header, Buffer.concat(ws.pieces));
}

function store(ws, header, content) {
  ws.header = null;
  if (sha1(content) != header.sha1) return ws.close(1008, 'wrong checksum');
  fs.writeFileSync(path.join(folder, header.put), content);
  answer(ws, {stored: header.put});
}

wss.on('connection', function(ws) {
  ws.header = null;
  ws.on('message', function(data, flags) {
    var kind = (flags.binary ? 'binary' : 'text') + (flags.masked ? ', masked' : '');
    console.log(kind + ', ' + flags.buffer.length + ' bytes');
    if (flags.binary) piece(ws, data);
    else command(ws, data);
  });
  ws.on('close', function(code, message) {
    if (ws.header) console.log(ws.header.put + ' given up after ' + ws.received + ' bytes');
    console.log('closed: ' + code + ' ' + message);
    if (message == 'stopped') wss.close();
  });
});
