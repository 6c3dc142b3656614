'use strict';

const SPAN = 60; // seconds from the left edge to the right one

/** A chart of the last minute, drawn into an <svg>: axes with their units, and one curve. */
class Chart {
  constructor(svg, {unit, least, format}) {
    this.svg = svg;
    this.unit = unit;
    this.least = least; // the top of the scale is never below this
    this.format = format;
    this.points = []; // {time, value}, time in seconds
    new ResizeObserver(() => this.draw()).observe(svg);
  }

  add(time, value) {
    this.points.push({time, value});
    // One point beyond the left edge stays, so that the curve does not begin in the middle.
    while (this.points.length > 2 && this.points[1].time < time - SPAN) this.points.shift();
    this.draw();
  }

  clear() {
    this.points = [];
    this.draw();
  }

  draw() {
    const {width, height} = this.svg.getBoundingClientRect();
    if (!width) return;
    const left = 48, right = width - 14, top = 22, bottom = height - 24;
    const ticks = scale(Math.max(this.least, ...this.points.map((point) => point.value)));
    const now = this.points.length ? this.points[this.points.length - 1].time : 0;
    const x = (time) => right - (now - time) / SPAN * (right - left);
    const y = (value) => bottom - value / ticks[ticks.length - 1] * (bottom - top);

    const parts = [element('text', {x: 0, y: 10}, this.unit)];
    for (const tick of ticks) {
      parts.push(element('line', {class: 'grid', x1: left, x2: right, y1: y(tick), y2: y(tick)}));
      parts.push(element('text', {x: left - 8, y: y(tick) + 4, 'text-anchor': 'end'}, this.format(tick)));
    }
    for (const ago of [60, 45, 30, 15, 0]) {
      parts.push(element('text', {x: x(now - ago), y: height - 6, 'text-anchor': 'middle'}, ago ? `−${ago} s` : 'now'));
    }
    if (this.points.length) {
      const visible = this.points.map(({time, value}) => [Math.max(left, x(time)), y(value)]);
      const curve = 'M' + visible.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L');
      parts.push(element('path', {class: 'area', d: `${curve}L${right} ${bottom}L${visible[0][0]} ${bottom}Z`}));
      parts.push(element('path', {class: 'curve', d: curve}));
      const [lastX, lastY] = visible[visible.length - 1];
      parts.push(element('circle', {class: 'now', cx: lastX, cy: lastY, r: 4}));
    }
    this.svg.replaceChildren(...parts);
  }
}

/** Round numbers from 0 to `greatest` or a little more. */
function scale(greatest) {
  const rough = greatest / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  return Array.from({length: Math.ceil(greatest / step) + 1}, (_, number) => number * step);
}

function element(name, attributes, text) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
