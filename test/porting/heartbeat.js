// A clock that knows who is still listening.  Start it with:  node heartbeat.js port interval
//
// Clients of ws://127.0.0.1:port/clock say "hello name" within five intervals of so many milliseconds, and then "start",
// or "three" for three ticks. At each interval they are sent a ping; who leaves three unanswered is ended.

var WebSocketServer = require('ws').Server;

var interval = Number(process.argv[3])
  , allowed = 3;

var wss = new WebSocketServer({port: Number(process.argv[2]), host: '127.0.0.1', path: '/clock'});

wss.on('listening', function() {
  console.log(wss._server.address().port);
});

function heartbeat() {
  this.unanswered = 0;
}

function isAlive() {
  console.log(this.name + ' is alive');
}

function check() {
  for (var i in wss.clients) {
    var ws = wss.clients[i];
    if (ws.unanswered == allowed) {
      console.log(ws.name + ' does not answer');
      ws.terminate();
    } else if (ws.unanswered < allowed) {
      ws.ping('', {}, true);
    }
    ws.unanswered += 1;
  }
}

var beat = setInterval(check, interval);

function tick(ws) {
  ws.ticks += 1;
  if (ws.readyState == ws.OPEN) ws.send('tick ' + ws.ticks);
  if (ws.ticks == ws.wanted) stop(ws);
}

function start(ws, wanted) {
  stop(ws);
  ws.ticks = 0;
  ws.wanted = wanted;
  ws.clock = setInterval(function() { tick(ws); }, 20);
}

function stop(ws) {
  clearInterval(ws.clock);
  ws.clock = null;
}

function hello(ws, name) {
  clearTimeout(ws.impatience);
  ws.name = name;
  ws.once('pong', isAlive);
  ws.send('hello ' + name);
}

function end() {
  clearInterval(beat);
  for (var i in wss.clients) wss.clients[i].close(1001, 'the clock stops');
}

function said(message) {
  var words = message.split(' ');
  if (words[0] == 'hello') hello(this, words[1]);
  else if (message == 'start') start(this, Infinity);
  else if (message == 'three') start(this, 3);
  else if (message == 'end') end();
  else this.close(1008, 'what is ' + message + '?');
}

function gone() {
  console.log(this.name + ' is gone');
  stop(this);
  clearTimeout(this.impatience);
  if (wss.clients.length == 0) wss.close();
}

wss.on('connection', function(ws) {
  ws.name = 'somebody';
  ws.clock = null;
  ws.unanswered = 0;
  ws.impatience = setTimeout(function() {
    ws.close(4001, 'no hello');
  }, 5 * interval);
  ws.on('pong', heartbeat);
  ws.on('message', said);
  ws.on('close', gone);
});
