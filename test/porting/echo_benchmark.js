// How fast is an echo server?  Start it with:  node echo_benchmark.js url messages [--times]
//
// Messages of several kinds and sizes are sent to it, sixteen of them on their way at any time, and what comes back is
// compared with what was sent.

var WebSocket = require('ws');

var address = process.argv[2]
  , count = Number(process.argv[3])
  , withTimes = process.argv[4] == '--times'
  , inFlight = 16;

// Kinds of messages: what is sent, and what has to come back, given the number of the message and a size.

function text(number, size) {
  return new Array(size + 1).join('aäα€'[number % 4]);
}

function bytes(number, size) {
  var buffer = new Buffer(size);
  buffer.fill(number % 256);
  return buffer;
}

function floats(number, size) {
  var array = new Float32Array(size / 4);
  for (var i = 0; i < array.length; ++i) array[i] = number + i / 2;
  return array;
}

function isSame(data, message) {
  if (typeof message == 'string') return data === message;
  return data.toString('hex') == new Buffer(message.buffer || message).toString('hex');
}

var rounds = [
  [text, 0], [text, 1], [text, 125], [text, 126], [text, 65536],
  [bytes, 0], [bytes, 1], [bytes, 125], [bytes, 126], [bytes, 65535], [bytes, 65536],
  [floats, 4], [floats, 4096]
];

function run(kind, size, done) {
  var ws = new WebSocket(address + '/' + kind.name + '?size=' + size)
    , waiting = [], sent = 0, written = 0, echoed = 0, wrong = 0, started;

  function send() {
    var message = kind(sent, size);
    waiting.push(message);
    sent += 1;
    ws.send(message, {binary: kind != text, mask: true}, function(error) {
      if (!error) written += 1;
    });
  }

  ws.onopen = function() {
    started = Date.now();
    while (sent < Math.min(inFlight, count)) send();
  };

  ws.onmessage = function(event) {
    echoed += 1;
    if (event.type != (kind == text ? 'Text' : 'Binary') || !isSame(event.data, waiting.shift())) wrong += 1;
    if (sent < count) send();
    else if (waiting.length == 0) finish(event.target);
  };

  function finish(target) {
    var time = Date.now() - started;
    console.log([kind.name, size, sent + ' sent', written + ' written', echoed + ' echoed', wrong + ' wrong'].join(', '));
    console.log(ws.bytesReceived + ' bytes received, ' + ws.bufferedAmount + ' buffered');
    if (withTimes) console.log(Math.round(1000 * echoed / time) + ' per second');
    target.close(1000, echoed + ' messages');
  }

  ws.onclose = function(event) {
    console.log('closed: ' + event.code + ' ' + event.reason + (event.wasClean ? ', clean' : ', not clean'));
    done();
  };
}

function next() {
  var round = rounds.shift();
  if (round) run(round[0], round[1], next);
  else console.log('done');
}

next();
