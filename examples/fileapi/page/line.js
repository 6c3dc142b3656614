'use strict';

const CHUNK = 256 * 1024; // bytes in one message
const WINDOW = 4 * CHUNK; // bytes on their way that the server has not written yet

class Lost extends Error {}
class Refused extends Error {}

/** The one socket, made anew whenever it breaks, and how a file goes over it. */
class Line {
  constructor(showState) {
    this.showState = showState;
    this.attempts = 0;
    this.expectOpen();
    showState('connecting', 'Connecting …');
    this.connect();
  }

  expectOpen() {
    this.opened = new Promise((resolve) => { this.open = resolve; });
  }

  connect() {
    this.answers = [];
    this.socket = new WebSocket(location.origin.replace('http', 'ws'));
    this.socket.onopen = () => {
      this.attempts = 0;
      this.showState('live', 'Connected');
      this.open();
      this.open = null;
    };
    this.socket.onmessage = (event) => this.push(JSON.parse(event.data));
    this.socket.onclose = () => {
      const seconds = Math.min(2 ** this.attempts++, 15);
      this.showState('waiting', `Not connected, trying again in ${seconds} s`);
      if (!this.open) this.expectOpen(); // else it was an attempt, and who waits for a line goes on waiting
      this.push({lost: true});
      setTimeout(() => this.connect(), seconds * 1000);
    };
  }

  push(answer) {
    this.answers.push(answer);
    this.wake?.();
  }

  /** The server's next answer: how many bytes of the file it has. */
  async received() {
    while (!this.answers.length) await new Promise((resolve) => { this.wake = resolve; });
    const answer = this.answers.shift();
    if (answer.lost) throw new Lost();
    if (answer.refused) throw new Refused(answer.refused);
    return answer.received;
  }

  /** Send a file, from its beginning again if the line breaks. `progress` is told how many bytes have arrived. */
  async send(file, path, progress) {
    for (;;) {
      await this.opened;
      try {
        return await this.sendOnce(file, path, progress);
      } catch (error) {
        if (!(error instanceof Lost)) throw error;
        progress(0);
      }
    }
  }

  async sendOnce(file, path, progress) {
    const socket = this.socket;
    socket.send(JSON.stringify({path, size: file.size, modified: file.lastModified}));
    let received = await this.received();
    let sent = 0;
    while (received < file.size) {
      while (sent < file.size && sent - received < WINDOW) {
        const chunk = await file.slice(sent, sent + CHUNK).arrayBuffer();
        if (socket !== this.socket) throw new Lost();
        socket.send(chunk);
        sent += chunk.byteLength;
      }
      received = await this.received();
      progress(received);
    }
  }
}
