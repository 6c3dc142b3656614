'use strict';

const REFUSED = 4000; // the close code of a server that does not let us in
const $ = (id) => document.getElementById(id);
const time = new Intl.DateTimeFormat([], {hour: '2-digit', minute: '2-digit'});

// With this key we get our name back when the server has not yet seen that our line is broken.
sessionStorage.chatKey ??= Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join('');

let socket = null; // null outside
let attempts = 0;
let retry; // the timer of the next attempt
let newest = 0; // the time of the last message on the page
let me, room;

// -- the line -----------------------------------------------------------------------------------------------------------

function connect() {
  clearTimeout(retry);
  showState('connecting', attempts ? 'Connecting again …' : 'Connecting …');
  const query = new URLSearchParams({name: me, key: sessionStorage.chatKey});
  const current = socket = new WebSocket(`${location.origin.replace('http', 'ws')}/${encodeURIComponent(room)}?${query}`);
  current.onmessage = (event) => {
    if (current === socket) receive(JSON.parse(event.data));
  };
  current.onclose = (event) => {
    if (current !== socket) return; // we have left, or are on another one by now
    if (event.code === REFUSED) {
      leave(event.reason);
    } else {
      const seconds = Math.min(2 ** attempts++, 30);
      showState('waiting', `Connection lost, trying again in ${seconds} s`);
      retry = setTimeout(connect, seconds * 1000);
    }
  };
}

function receive(message) {
  if (message.type === 'history') {
    attempts = 0;
    showState('live', 'Connected');
    message.messages.filter((said) => said.time > newest).forEach(showMessage);
  } else if (message.type === 'people') {
    showPeople(message.people);
    if (message.came && message.came !== me) showNotice(`${message.came} has come in`);
    if (message.left) showNotice(`${message.left} has left`);
  } else if (message.type === 'message') {
    showMessage(message);
  }
}

// The browser knows of some broken lines, and of their repair, long before a timer does.
addEventListener('offline', () => socket?.close());
addEventListener('online', () => {
  if (socket?.readyState > WebSocket.OPEN) connect();
});

// -- coming and going ----------------------------------------------------------------------------------------------------

function enter() {
  room = $('room').value.trim();
  me = sessionStorage.chatName = $('name').value.trim().replace(/\s+/g, ' ');
  newest = attempts = 0;
  $('title').textContent = room;
  document.title = `#${room} – Chat`;
  $('said').replaceChildren();
  $('people').replaceChildren();
  $('enter').hidden = true;
  $('chat').hidden = false;
  atEnd = true;
  $('text').focus();
  socket?.close();
  connect();
}

function leave(reason = '') {
  clearTimeout(retry);
  const left = socket;
  socket = null;
  left?.close();
  delete sessionStorage.chatName;
  document.title = 'Chat';
  $('refused').textContent = reason;
  $('chat').hidden = true;
  $('enter').hidden = false;
  $('name').focus();
}

$('enter').addEventListener('submit', (event) => {
  event.preventDefault();
  $('refused').textContent = '';
  // Another hash in the address enters that room; the same hash is no event.
  const hash = `#${encodeURIComponent($('room').value.trim())}`;
  if (location.hash === hash) enter();
  else location.hash = hash;
});

$('leave').addEventListener('click', () => leave());

addEventListener('hashchange', () => {
  $('room').value = roomInAddress();
  if ($('name').value.trim()) enter();
});

function roomInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || 'lobby';
  } catch {
    return 'lobby';
  }
}

$('say').addEventListener('submit', (event) => {
  event.preventDefault();
  if ($('send').disabled || !$('text').value.trim()) return;
  socket.send($('text').value);
  $('text').value = '';
  $('text').focus(); // a phone's keyboard stays
});

// -- what is seen: texts of others go into textContent, never into HTML --------------------------------------------------

function showState(state, text) {
  $('state').dataset.state = state;
  $('state').textContent = text;
  $('send').disabled = state !== 'live';
  if (state === 'waiting' && $('people').firstChild) $('people-title').textContent = 'Were here';
}

function showPeople(people) {
  $('people').replaceChildren(...people.map((name) => {
    const person = made('li', 'person', name);
    colour(person, name);
    return person;
  }));
  $('people-title').textContent = people.length === 1 ? 'Only you' : `${people.length} here`;
  showMore();
}

/** Shows at which ends of the list of people there are more; beside the log it runs down, above it to the right. */
function showMore() {
  const list = $('people');
  const before = list.scrollLeft + list.scrollTop;
  const all = list.scrollWidth - list.clientWidth + list.scrollHeight - list.clientHeight;
  list.classList.toggle('more-before', before > 1);
  list.classList.toggle('more-after', before < all - 1);
  list.tabIndex = all > 1 ? 0 : -1; // for the arrow keys
}

$('people').addEventListener('scroll', showMore);
new ResizeObserver(showMore).observe($('people'));

function showMessage({name, text, time: when}) {
  newest = when;
  const item = made('li', name === me ? 'message mine' : 'message');
  colour(item, name);
  const head = made('p', 'head');
  const stamp = made('time', '', time.format(when));
  stamp.dateTime = new Date(when).toISOString();
  head.append(made('span', 'from', name), ' ', stamp);
  item.append(head, made('p', 'text', text));
  append(item);
}

function showNotice(text) {
  append(made('li', 'notice', text));
}

function append(item) {
  $('said').append(item);
  showEnd();
}

function made(name, className, text = '') {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

// -- colours of names -----------------------------------------------------------------------------------------------------

const COLOURS = 12; // around the circle of hues; every other one is darker
const colours = new Map(JSON.parse(sessionStorage.chatColours ?? '[]')); // of each name, as a number

/** Gives an element its name's colour: always the same in this window, and one of its own as long as there are any. */
function colour(element, name) {
  if (!colours.has(name)) {
    const own = Array.from({length: COLOURS}, (_, step) => (hash(name) + 5 * step) % COLOURS);
    const costs = own.map(likeOthers);
    colours.set(name, own[costs.indexOf(Math.min(...costs))]);
    sessionStorage.chatColours = JSON.stringify([...colours]);
  }
  element.style.setProperty('--hue', colours.get(name) * 360 / COLOURS);
  element.style.setProperty('--shade', colours.get(name) % 2);
}

/** How much a colour is like those which others have: neighbours look alike, but not as much as the same. */
function likeOthers(colour) {
  const costs = {0: 100, 1: 1, [COLOURS - 1]: 1};
  return [...colours.values()].reduce((sum, other) => sum + (costs[Math.abs(other - colour)] ?? 0), 0);
}

function hash(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 65521;
  return sum;
}

// -- the end of the log stays in sight, also when a keyboard opens; who reads further up is left there ---------------------

let atEnd = true;
let logHeight = 0; // when that was so

function showEnd() {
  if (atEnd) $('log').scrollTop = $('log').scrollHeight;
  lookWhere();
}

function lookWhere() {
  const {scrollHeight, scrollTop, clientHeight} = $('log');
  atEnd = scrollHeight - scrollTop - clientHeight < 80;
  logHeight = clientHeight;
}

$('log').addEventListener('scroll', () => {
  // With another height nobody has scrolled away: the observer will show the end.
  if ($('log').clientHeight === logHeight) lookWhere();
});
new ResizeObserver(showEnd).observe($('log'));

// Some phones lay the keyboard over the page, and scroll what is below: the room takes what can be seen.
function fit() {
  const {height, offsetTop, scale} = visualViewport;
  if (scale > 1.01) return; // somebody has a closer look
  $('chat').style.setProperty('--height', `${height}px`);
  $('chat').style.setProperty('--above', `${offsetTop}px`);
}

visualViewport.addEventListener('resize', fit);
visualViewport.addEventListener('scroll', fit);

// ------------------------------------------------------------------------------------------------------------------------

$('room').value = roomInAddress();
if (sessionStorage.chatName) { // this page was loaded again
  $('name').value = sessionStorage.chatName;
  enter();
}
