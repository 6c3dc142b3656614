'use strict';

const $ = (id) => document.getElementById(id);

const line = new Line((state, text) => {
  $('state').dataset.state = state;
  $('state').textContent = text;
});

const waiting = []; // what is still to go up
const all = {files: 0, ended: 0, refused: 0, size: 0, received: 0};
let running = false;
let began; // in milliseconds, when the first of them started
let before; // bytes that were there by then

function add(files) {
  for (const {file, path} of files) {
    const row = new Row(file, path);
    $('list').append(row.element);
    waiting.push(row);
    all.files++;
    all.size += file.size;
  }
  $('all').hidden = !all.files;
  run();
}

async function run() {
  if (running) return;
  running = true;
  began = performance.now();
  before = all.received;
  while (waiting.length) {
    await waiting.shift().upload();
    showAll();
  }
  running = false;
  showAll();
  $('ended').textContent = $('all-text').textContent; // who hears the page is told once
}

/** One file in the list. */
class Row {
  constructor(file, path) {
    this.file = file;
    this.path = path;
    this.received = 0;
    this.element = document.createElement('li');
    this.element.dataset.state = 'waiting';
    this.name = document.createElement('span');
    this.name.className = 'name';
    this.name.textContent = this.name.title = path;
    this.text = document.createElement('span');
    this.text.className = 'text';
    this.text.textContent = bytes(file.size);
    this.bar = document.createElement('progress');
    this.bar.max = file.size || 1;
    this.bar.value = 0;
    this.bar.setAttribute('aria-label', path);
    this.element.append(this.name, this.text, this.bar);
  }

  async upload() {
    this.element.dataset.state = 'running';
    try {
      await line.send(this.file, this.path, (received) => this.progress(received));
      this.bar.value = this.bar.max;
      this.end('done', bytes(this.file.size));
    } catch (error) {
      this.progress(0);
      all.size -= this.file.size;
      all.refused++;
      this.end('refused', error instanceof Refused ? `Refused: ${error.message}` : 'It cannot be read');
    }
  }

  progress(received) {
    all.received += received - this.received;
    this.received = received;
    this.bar.value = received;
    this.text.textContent = `${bytes(received)} of ${bytes(this.file.size)}`;
    showAll();
  }

  end(state, text) {
    all.ended++;
    this.element.dataset.state = state;
    this.text.textContent = text;
  }
}

function showAll() {
  const seconds = (performance.now() - began) / 1000;
  const rate = (all.received - before) / seconds;
  const files = `${all.ended - all.refused} of ${all.files} ${all.files === 1 ? 'file' : 'files'}`;
  const refused = all.refused ? `, ${all.refused} refused` : '';
  const parts = [files + refused, `${bytes(all.received)} of ${bytes(all.size)}`];
  if (running && seconds > 0.5) {
    parts.push(`${bytes(rate)}/s`);
    if (rate) parts.push(`${duration((all.size - all.received) / rate)} left`);
  }
  $('all-text').textContent = parts.join(' · ');
  $('all').dataset.state = running ? 'running' : 'done';
  // Where there are only empty files, these are what is counted.
  $('all-progress').max = all.size || all.files;
  $('all-progress').value = all.size ? all.received : all.ended;
}

function bytes(number) {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  for (; number >= 999.5 && unit < units.length - 1; unit++) number /= 1000;
  return `${number.toFixed(unit && number < 99.95 ? 1 : 0)} ${units[unit]}`;
}

function duration(seconds) {
  return seconds < 60 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

for (const id of ['folder', 'files']) {
  $(id).addEventListener('change', () => {
    add(chosen($(id)));
    $(id).value = ''; // so that the same can be chosen again
  });
}

// The whole page takes what is dropped: what misses the mark would else be opened in its place.
addEventListener('dragover', (event) => {
  event.preventDefault();
  $('drop').classList.add('over');
});
addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) $('drop').classList.remove('over');
});
addEventListener('drop', async (event) => {
  event.preventDefault();
  $('drop').classList.remove('over');
  add(await dropped(event.dataTransfer.items));
});
