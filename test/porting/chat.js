// A chat with rooms.  Start it with:  node chat.js port
//
// ws://127.0.0.1:port/tea?token=let-me-in leads into the room "tea". What is said there, everybody in it gets to hear.
// Commands are /nick name, /who, /join room, /me does something, /quit, and for operators /kick name and /stop.

var WebSocketServer = require('ws').Server
  , url = require('url');

var roles = {'let-me-in': 'guest', 'i-run-this-place': 'operator'};

function tokenOf(request) {
  return url.parse(request.url, true).query.token;
}

function verifyClient(info, callback) {
  // Elsewhere, this would be a look-up in a database.
  setTimeout(function() { callback(tokenOf(info.req) in roles); }, 10);
}

function handleProtocols(protocols, callback) {
  callback(protocols.indexOf('chat') != -1, 'chat');
}

function listening() {
  console.log(wss._server.address().port);
}

var wss = new WebSocketServer({
  port: Number(process.argv[2]),
  host: '127.0.0.1',
  verifyClient: verifyClient,
  handleProtocols: handleProtocols
}, listening);
wss.guests = 0;
wss.stopping = false;

wss.broadcast = function(room, text) {
  for (var i in wss.clients) {
    var ws = wss.clients[i];
    if (ws.room == room && ws.readyState == ws.OPEN) ws.send(text);
  }
};

function enter(ws, room) {
  wss.broadcast(room, '* ' + ws.nick + ' comes in');
  ws.room = room;
  ws.send('* you are ' + ws.nick + ' in ' + room);
}

function find(nick) {
  for (var i in wss.clients) {
    var ws = wss.clients[i];
    if (ws.nick == nick) return ws;
  }
}

// Commands

function nick(ws, name) {
  if (!name || find(name)) return ws.send('* you cannot be called "' + name + '"');
  wss.broadcast(ws.room, '* ' + ws.nick + ' is now ' + name);
  ws.nick = name;
}

function who(ws) {
  var names = wss.clients
    .filter(function(client) { return client.room == ws.room; })
    .map(function(client) { return client.nick; });
  ws.send('* here are ' + names.sort().join(', '));
}

function join(ws, room) {
  wss.broadcast(ws.room, '* ' + ws.nick + ' goes to ' + room);
  enter(ws, room);
}

function me(ws, action) {
  wss.broadcast(ws.room, '* ' + ws.nick + ' ' + action);
}

function quit(ws, reason) {
  ws.close(1000, reason || 'bye');
}

function kick(ws, name) {
  var other = find(name);
  if (!other) return ws.send('* nobody is called ' + name);
  other.close(4000, 'kicked by ' + ws.nick);
}

function stop() {
  wss.stopping = true;
  for (var i in wss.clients) wss.clients[i].close(1001, 'the chat is over');
}

var commands = {'/nick': nick, '/who': who, '/join': join, '/me': me, '/quit': quit}
  , operatorCommands = {'/kick': kick, '/stop': stop};

// Listeners; "this" is the client

function said(message, flags) {
  if (flags.binary) return this.close(1003, 'only text');
  var words = message.split(' ');
  var command = commands[words[0]];
  if (!command && this.role == 'operator') command = operatorCommands[words[0]];
  if (command) command(this, words.slice(1).join(' '));
  else if (message[0] == '/') this.send('* no such command: ' + words[0]);
  else wss.broadcast(this.room, this.nick + ': ' + message);
}

function failed(error, code) {
  console.log(this.nick + ' is broken: ' + error + ' (' + code + ')');
}

function gone() {
  if (!wss.stopping) {
    console.log(this.nick + ' is gone');
    wss.broadcast(this.room, '* ' + this.nick + ' is gone');
  } else if (wss.clients.length == 0) {
    console.log('over');
    wss.close();
  }
}

wss.on('connection', function(ws) {
  wss.guests += 1;
  ws.nick = 'guest' + wss.guests;
  ws.role = roles[tokenOf(ws.upgradeReq)];
  console.log(ws.nick + ' comes from ' + ws._socket.remoteAddress + ', speaks ' + ws.protocol + ', is ' + ws.role);
  ws.room = null;
  ws.on('message', said).on('error', failed).on('close', gone);
  enter(ws, url.parse(ws.upgradeReq.url).pathname.slice(1) || 'lobby');
});
