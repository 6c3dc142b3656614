'use strict';

const MIB = 2 ** 20;
const whole = new Intl.NumberFormat('en');
const $ = (id) => document.getElementById(id);

const memoryChart = new Chart($('memory-chart'), {unit: 'MiB', least: 8, format: (value) => whole.format(value)});
const rateChart = new Chart($('rate-chart'), {unit: 'messages per second', least: 10, format: (value) => whole.format(value)});

let socket;
let attempts = 0;
let last; // the sample before this one

function connect() {
  socket = new WebSocket(location.origin.replace('http', 'ws'));
  socket.onopen = () => {
    attempts = 0;
    last = undefined;
    memoryChart.clear(); // it may be another server's clock that counts from here
    rateChart.clear();
    showState('live', 'Live');
  };
  socket.onmessage = (event) => show(JSON.parse(event.data));
  socket.onclose = () => {
    const seconds = Math.min(2 ** attempts++, 15);
    showState('waiting', `Not connected, trying again in ${seconds} s`);
    setTimeout(connect, seconds * 1000);
  };
}

function showState(state, text) {
  $('state').dataset.state = state;
  $('state').textContent = text;
  $('send').disabled = state !== 'live';
}

function show(sample) {
  if (sample.memory === null) {
    $('memory-note').textContent = 'This system does not tell it.';
  } else {
    $('memory').textContent = (sample.memory / MIB).toFixed(1);
    memoryChart.add(sample.time, sample.memory / MIB);
  }
  if (last) {
    const rate = (sample.messages - last.messages) / (sample.time - last.time);
    $('rate').textContent = whole.format(Math.round(rate));
    rateChart.add(sample.time, rate);
  }
  $('messages').textContent = whole.format(sample.messages);
  $('connections').textContent = sample.connections === 1 ? '1 connection' : `${whole.format(sample.connections)} connections`;
  last = sample;
}

$('load').addEventListener('submit', (event) => {
  event.preventDefault();
  for (let number = 1; number <= 1000; number++) socket.send(`message ${number}`);
});

showState('connecting', 'Connecting …');
connect();
