// Follows share prices, logs in if it has to, and comes back if it is sent away.
// Start it with:  node subprotocol_client.js host:port
//
// What it is told depends on the sub-protocol: quotes.v1 is text ("ACME 12.5"), quotes.v2 is JSON.

var WebSocket = require('ws');

var address = process.argv[2] + '/quotes?symbols=ACME,EMCA'
  , credentials = 'ann:s3cret%21'
  , versions = ['quotes.v2', 'quotes.v1']
  , visits = 0;

// How each sub-protocol is read

var parsers = {
  'quotes.v1': function(message) {
    var words = message.split(' ');
    return {symbol: words[0], price: Number(words[1])};
  },
  'quotes.v2': JSON.parse
};

function optionsOf(visit) {
  return {
    protocol: versions.join(', '),
    origin: 'http://desk.example.com',
    host: 'quotes.example.com',
    headers: {'X-Visit': visit, 'Cookie': 'theme=dark; lang=en'}
  };
}

function follow(url, options) {
  visits += 1;
  var ws = new WebSocket(url, options);
  ws.quotes = 0;
  ws.on('open', opened);
  ws.on('error', failed);
}

// Listeners; "this" is the connection

function opened() {
  console.log('open: ' + (this.protocol || 'no protocol') + ', version ' + this.protocolVersion);
  this.on('message', quoted).on('ping', pinged).on('pong', ponged).on('close', closed);
  this.send('subscribe', function(error) {
    console.log(error ? error.message : 'subscribed');
  });
}

function failed(error) {
  var text = error.message || error;
  console.log('error: ' + text);
  if (text == 'unexpected server response (401)') follow('ws://' + credentials + '@' + address, optionsOf('second'));
  else if (text == 'server responded with an invalid protocol') follow('ws://' + address, {headers: {Authorization: 'Bearer 4711'}});
}

function quoted(message, flags) {
  if (flags.binary) return this.close(1003, 'quotes are text');
  var quote = parsers[this.protocol || 'quotes.v1'](message);
  this.quotes += 1;
  console.log(quote.symbol + ' is at ' + quote.price.toFixed(2) + (flags.masked ? ', masked' : ''));
  if (quote.price > 100) this.send(new Buffer(['sell', quote.symbol].join(' ')), {mask: true});
  if (quote.price < 1) this.ping('still there?');
}

function pinged(data) {
  console.log('ping: ' + data);
}

function ponged(data) {
  console.log('pong: ' + data);
  this.close(1000, this.quotes + ' quotes');
  // All this is too late.
  this.ping('one more', {}, true);
  this.send('one more', function(error) { console.log('called back: ' + error.message); });
}

function closed(code, message) {
  console.log('close: ' + code + ' ' + message + ' in state ' + this.readyState);
  if (code == 4002) setTimeout(function() { follow('ws://' + credentials + '@' + address, optionsOf('third')); }, 10);
  else console.log(visits + ' visits');
}

follow('ws://' + address, optionsOf('first'));
