// A mask under work: a label for each pixel, the strokes that can be undone, and its picture.
"use strict";

const UNLABELLED = 255;
const MOST_STEPS = 60;

// An opaque pixel of a canvas, as it lies in memory.
function pixel([red, green, blue]) { return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0; }

class Mask {
  constructor(width, height, proposal, colours) {
    Object.assign(this, { width, height, proposal });
    this.shown = new Uint32Array(256);  // transparent but for the phases
    for (const [label, colour] of Object.entries(colours)) this.shown[label] = pixel(colour);
    this.labels = Uint8Array.from(proposal);
    this.done = []; this.undone = [];
    this.canvas = document.createElement("canvas");
    this.canvas.width = width; this.canvas.height = height;
    this.context = this.canvas.getContext("2d");
    this.draw({ left: 0, top: 0, right: width, bottom: height });
  }

  // Everything between `begin` and `end` is one step that can be undone.
  begin() { this.before = this.labels.slice(); this.touched = null; }

  end() {
    const box = this.touched;
    if (this.before && box) {
      this.done.push({ box, labels: this.part(this.before, box) });
      if (this.done.length > MOST_STEPS) this.done.shift();
      this.undone = [];
    }
    this.before = null;
  }

  cancel() {
    if (this.before && this.touched) { this.labels.set(this.before); this.draw(this.touched); }
    this.before = null;
  }

  undo() { this.swap(this.done, this.undone); }

  redo() { this.swap(this.undone, this.done); }

  swap(from, to) {
    const step = from.pop();
    if (!step) return;
    to.push({ box: step.box, labels: this.part(this.labels, step.box) });
    this.put(step.box, step.labels);
  }

  // A disc, or a round stroke between two points, of one label, or of what the network proposes.
  stroke(from, to, radius, label) {
    const length = Math.hypot(to.x - from.x, to.y - from.y), steps = Math.ceil(length / Math.max(1, radius / 2));
    for (let step = 0; step <= steps; step++) {
      const share = steps ? step / steps : 1;
      this.disc(from.x + share * (to.x - from.x), from.y + share * (to.y - from.y), radius, label);
    }
  }

  disc(x, y, radius, label) {
    const box = this.inside(x - radius, y - radius, x + radius + 1, y + radius + 1);
    for (let row = box.top; row < box.bottom; row++)
      for (let column = box.left; column < box.right; column++) {
        if ((column - x) ** 2 + (row - y) ** 2 > radius * radius) continue;
        const at = row * this.width + column;
        this.labels[at] = label === null ? this.proposal[at] : label;
      }
    this.touch(box);
  }

  // The whole patch of one label that a pixel lies in, row by row.
  fill(x, y, label) {
    const { width, height, labels } = this, old = labels[y * width + x];
    if (old === label) return;
    const box = { left: x, top: y, right: x + 1, bottom: y + 1 }, waiting = [y * width + x];
    while (waiting.length) {
      const at = waiting.pop();
      if (labels[at] !== old) continue;
      const row = Math.floor(at / width), start = row * width;
      let left = at, right = at;
      while (left > start && labels[left - 1] === old) left--;
      while (right < start + width - 1 && labels[right + 1] === old) right++;
      labels.fill(label, left, right + 1);
      box.left = Math.min(box.left, left - start); box.right = Math.max(box.right, right - start + 1);
      box.top = Math.min(box.top, row); box.bottom = Math.max(box.bottom, row + 1);
      for (const next of [row > 0 ? -width : 0, row < height - 1 ? width : 0])
        if (next) for (let one = left; one <= right; one++) if (labels[one + next] === old) waiting.push(one + next);
    }
    this.touch(box);
  }

  all(labels, suggested = false) {
    if (!suggested) this.suggested = null;
    this.begin();
    if (labels) this.labels.set(labels); else this.labels.fill(UNLABELLED);
    this.touch({ left: 0, top: 0, right: this.width, bottom: this.height });
    this.end();
  }

  // What a person painted: what stood there before a suggestion, and what was changed since.
  painted() {
    if (!this.suggested) return this.labels;
    const labels = this.scribbles.slice();
    for (let at = 0; at < labels.length; at++)
      if (this.labels[at] !== this.suggested[at]) labels[at] = this.labels[at];
    return labels;
  }

  // Label all that nobody painted as a forest suggests; from now on that is the proposal.
  suggest(labels) {
    this.scribbles = this.painted().slice();
    this.suggested = labels.map((label, at) => this.scribbles[at] === UNLABELLED ? label : this.scribbles[at]);
    this.proposal = labels;
    this.all(this.suggested, true);
  }

  inside(left, top, right, bottom) {
    return { left: Math.max(0, Math.floor(left)), top: Math.max(0, Math.floor(top)),
      right: Math.min(this.width, Math.ceil(right)), bottom: Math.min(this.height, Math.ceil(bottom)) };
  }

  touch(box) {
    if (box.right <= box.left || box.bottom <= box.top) return;
    const old = this.touched || box;
    this.touched = { left: Math.min(old.left, box.left), top: Math.min(old.top, box.top),
      right: Math.max(old.right, box.right), bottom: Math.max(old.bottom, box.bottom) };
    this.draw(box);
  }

  part(labels, box) {
    const width = box.right - box.left, part = new Uint8Array(width * (box.bottom - box.top));
    for (let row = box.top; row < box.bottom; row++) {
      const start = row * this.width + box.left;
      part.set(labels.subarray(start, start + width), (row - box.top) * width);
    }
    return part;
  }

  put(box, part) {
    const width = box.right - box.left;
    for (let row = box.top; row < box.bottom; row++)
      this.labels.set(part.subarray((row - box.top) * width, (row - box.top + 1) * width), row * this.width + box.left);
    this.draw(box);
  }

  draw(box) {
    const part = this.part(this.labels, box);
    const image = new ImageData(box.right - box.left, box.bottom - box.top);
    const pixels = new Uint32Array(image.data.buffer);
    for (let at = 0; at < part.length; at++) pixels[at] = this.shown[part[at]];
    this.context.putImageData(image, box.left, box.top);
  }

  // Labels as a PNG, grey value by grey value.
  png(labels) {
    const canvas = document.createElement("canvas");
    canvas.width = this.width; canvas.height = this.height;
    const context = canvas.getContext("2d"), image = context.createImageData(this.width, this.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let at = 0; at < labels.length; at++) pixels[at] = (labels[at] * 0x10101 | 0xff000000) >>> 0;
    context.putImageData(image, 0, 0);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }
}
