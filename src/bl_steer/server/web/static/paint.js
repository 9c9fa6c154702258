// Paint a mask over an image: brush, fill, eraser, the network's label here; save it as a pair.
"use strict";

// What a page says at a place; nothing where it has none.
function wordsAt(page, place) {
  const found = new DOMParser().parseFromString(page, "text/html").querySelector(place);
  return found ? found.textContent.trim() : "";
}

class Painter {
  constructor(form, viewer) {
    this.form = form; this.viewer = viewer; this.pane = viewer.panes[0]; this.saved = true;
    this.size = document.getElementById("size");
    form.querySelectorAll("[data-colour]").forEach((choice) => {
      choice.parentElement.querySelector("i").style.background = `rgb(${choice.dataset.colour})`;
    });
  }

  async start(scene) {
    const layer = scene.layers.find((one) => one.role === "labels");
    const plane = Math.min(Number(this.form.dataset.plane), scene.sizes.length - 1), [width, height] = scene.sizes[plane];
    const answer = await fetch(`${layer.address}/planes/${plane}`);
    if (!answer.ok) {
      const large = answer.status === 413 && this.form.dataset.large;
      this.tell(large || wordsAt(await answer.text(), ".code + h1") || this.form.dataset.broken);
      return;
    }
    const colours = {};
    layer.phases.forEach(({ label, colour }) => { colours[label] = colour; });
    this.phases = layer.phases;
    this.mask = new Mask(width, height, new Uint8Array(await answer.arrayBuffer()), colours);
    this.mask.canvas.className = "mask";
    this.pane.viewer.addOverlay({ element: this.mask.canvas, location: new OpenSeadragon.Rect(0, 0, 1, height / width) });
    this.ring = document.createElement("i");
    this.ring.className = "ring";
    this.pane.element.querySelector(".frame").append(this.ring);
    this.show();
    this.listen();
    for (const id of ["save", "suggest"]) document.getElementById(id).disabled = false;
  }

  listen() {
    const { viewer } = this.pane, click = (id, act) =>
      document.getElementById(id).addEventListener("click", () => { act(); this.changed(); });
    viewer.addHandler("canvas-press", (event) => this.press(event));
    viewer.addHandler("canvas-drag", (event) => this.drag(event));
    for (const name of ["canvas-release", "canvas-drag-end"]) viewer.addHandler(name, (event) => this.release(event));
    viewer.addHandler("canvas-pinch", () => { this.mask.cancel(); this.last = null; });
    viewer.addHandler("canvas-double-click", (event) => { if (this.tool !== "move") event.preventDefaultAction = true; });
    viewer.addHandler("canvas-key", (event) => this.key(event));
    new OpenSeadragon.MouseTracker({
      element: this.pane.element.querySelector(".view"),
      moveHandler: (event) => this.drawRing(event.position), leaveHandler: () => { this.ring.hidden = true; },
    });
    click("undo", () => this.mask.undo());
    click("redo", () => this.mask.redo());
    click("clear", () => this.mask.all(null));
    click("all", () => this.mask.all(this.mask.proposal));
    document.getElementById("suggest").addEventListener("click", () => this.suggest());
    this.size.addEventListener("input", () => this.show());
    this.viewer.tool(".opacity").addEventListener("input", () => this.show());
    document.addEventListener("keydown", (event) => this.shortcut(event));
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.save(); });
    addEventListener("beforeunload", (event) => { if (!this.saved || this.saving) event.preventDefault(); });
  }

  get tool() { return this.form.elements.tool.value; }

  // The label that the tool paints; null stands for the network's.
  get label() {
    if (this.tool === "accept") return null;
    return this.tool === "eraser" ? UNLABELLED : Number(this.form.elements.phase.value);
  }

  get radius() { return Number(this.size.value) / 2; }

  press(event) {
    if (this.tool === "move") return;
    this.mask.begin();
    this.last = null;
    this.apply(this.pane.pixelAt(event.position));
  }

  drag(event) {
    if (this.tool === "move") return;
    event.preventDefaultAction = true;
    if (this.tool !== "fill" && this.mask.before) this.apply(this.pane.pixelAt(event.position));
  }

  release(event) {
    if (this.tool === "move") return;
    event.preventDefaultAction = true;  // no flick
    this.mask.end();
    this.last = null;
    this.changed();
  }

  apply(pixel) {
    if (!pixel) { this.last = null; return; }
    if (this.tool === "fill") this.mask.fill(pixel.x, pixel.y, this.label);
    else this.mask.stroke(this.last || pixel, pixel, this.radius, this.label);
    this.last = pixel;
  }

  // Enter and the space bar paint at the centre, where a cross is: the arrow keys bring an image there.
  key(event) {
    const { key } = event.originalEvent;
    if ((key !== "Enter" && key !== " ") || this.tool === "move") return;
    event.preventDefaultAction = true;
    event.originalEvent.preventDefault();
    this.mask.begin();
    this.last = null;
    this.apply(this.pane.pixelAt(this.pane.viewer.viewport.getContainerSize().divide(2)));
    this.mask.end();
    this.changed();
  }

  shortcut(event) {
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key !== "z" && key !== "y") return;
      event.preventDefault();
      if (key === "y" || event.shiftKey) this.mask.redo(); else this.mask.undo();
      this.changed();
    } else if (/^[1-9]$/.test(key)) this.choose(`[name=phase][value="${key - 1}"]`);
    else if (/^[bfeav]$/.test(key)) this.choose(`[data-key="${key}"]`);
    else if (key === "[" || key === "]") { this.size.value = Number(this.size.value) + (key === "]" ? 2 : -2); this.show(); }
  }

  choose(selector) {
    const choice = this.form.querySelector(selector);
    if (choice) choice.checked = true;
  }

  show() {
    document.getElementById("size-number").textContent = this.size.value;
    document.getElementById("undo").disabled = !this.mask.done.length;
    document.getElementById("redo").disabled = !this.mask.undone.length;
    this.mask.canvas.style.opacity = this.viewer.look.opacity;
  }

  // How wide the brush is, around the pointer.
  drawRing({ x, y }) {
    const across = 2 * this.radius * this.pane.first().viewportToImageZoom(this.pane.viewer.viewport.getZoom(true));
    this.ring.hidden = this.tool === "move" || this.tool === "fill";
    this.ring.style.width = this.ring.style.height = `${across}px`;
    this.ring.style.transform = `translate(${x - across / 2}px, ${y - across / 2}px)`;
  }

  changed() {
    this.saved = false;
    document.getElementById("paint-saved").hidden = true;
    this.tell("");
    this.show();
  }

  tell(words, address = "") {
    const problem = document.getElementById("paint-problem");
    problem.textContent = words; problem.hidden = !words;
    if (!address) return;
    const link = document.createElement("a");  // opens beside the page, whose work would be lost
    link.href = address; link.target = "_blank"; link.textContent = this.form.dataset.signIn;
    problem.append(" ", link);
  }

  // Why a mask cannot be read without a doubt, or nothing.
  problem() {
    const painted = new Set(this.mask.labels);
    if (painted.size === 1 && painted.has(UNLABELLED)) return this.form.dataset.empty;
    // Labels 0 and 255 alone are what other programs write for two phases.
    const like = this.phases.length === 2 && painted.size === 2 && painted.has(0) && painted.has(UNLABELLED);
    return like ? this.form.dataset.one : "";
  }

  async save() {
    const words = this.problem();
    this.tell(words);
    if (words) return;
    const button = document.getElementById("save"), label = button.textContent;
    button.style.minWidth = `${button.offsetWidth}px`; // a second click must not meet what would move up beside it
    button.textContent = this.form.dataset.saving;
    this.saved = this.saving = true; // to leave now would break it off; what is painted meanwhile is unsaved
    const answer = await this.send(this.form.action, this.mask.labels);
    button.textContent = label;
    this.saving = false;
    if (!answer) this.saved = false;
    else if (this.saved) this.confirm(wordsAt(await answer.text(), "#mask .notice"));
  }

  // A forest that is grown on the server from what is painted labels the rest.
  async suggest() {
    const painted = this.mask.painted(), words = this.form.dataset;
    const kinds = new Set(painted).size;
    const told = painted.includes(UNLABELLED) ? (kinds < 3 ? words.few : "") : words.full;
    this.tell(told);
    if (told) return;
    this.confirm(words.suggesting);
    const answer = await this.send(words.proposal, painted);
    document.getElementById("paint-saved").hidden = true;
    const labels = answer && new Uint8Array(await answer.arrayBuffer());
    if (!labels || labels.length !== painted.length) { if (answer) this.tell(words.broken); return; }
    this.mask.suggest(labels);
    this.changed();
    this.confirm(words.suggested);
  }

  // Send labels as a picture; return the answer, or nothing after telling why it was refused.
  async send(address, labels) {
    const buttons = ["save", "suggest"].map((id) => document.getElementById(id)), words = this.form.dataset;
    buttons.forEach((button) => { button.disabled = true; });
    try {
      const picture = await this.mask.png(labels);
      let answer = await this.post(address, picture);
      if (answer.status === 403 && await this.renew()) answer = await this.post(address, picture);
      if (answer.ok) return answer;
      if (answer.status === 401) this.tell(words.signedOut, "/sign-in");
      else this.tell(wordsAt(await answer.text(), "#mask .problem, .problem, .code + h1") || words.broken);
    } catch { this.tell(words.broken); }
    finally { buttons.forEach((button) => { button.disabled = false; }); }
    document.getElementById("paint-saved").hidden = true;
    return null;
  }

  post(address, picture) {
    const body = new FormData();
    for (const name of ["csrf", "view", "plane"]) body.append(name, this.form.elements[name].value);
    body.append("files", picture, this.form.dataset.name);
    return fetch(address, { method: "POST", body });
  }

  // Who signed in anew has a new session: take its word from this page as it is now. Return whether there is one.
  async renew() {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const word = page.querySelector("#paint [name=csrf]"), own = this.form.elements.csrf;
    if (!word || word.value === own.value) return false;
    own.value = word.value;
    return true;
  }

  confirm(words) {
    const notice = document.getElementById("paint-saved");
    notice.textContent = words;
    notice.hidden = false;
  }
}

document.addEventListener("DOMContentLoaded", () => {
  const root = document.querySelector(".viewer"), form = document.getElementById("paint");
  root.addEventListener("opened", (event) => {
    form.painter = new Painter(form, root.viewer);
    form.painter.start(event.detail);
  }, { once: true });
});
