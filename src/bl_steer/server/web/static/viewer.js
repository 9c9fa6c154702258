// Look closely at images and results: zoom, overlays, slices, values. Without scripts pages show PNGs.
"use strict";

const ARRAYS = { uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array,
  uint32: Uint32Array, int32: Int32Array, float32: Float32Array };
const KEPT_BLOCKS = 200;
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

// The values of an array, fetched block by block when the pointer comes there.
class Values {
  constructor(scene, layer) {
    this.scene = scene; this.layer = layer; this.blocks = new Map();
  }

  async at(plane, x, y) {
    const size = this.scene.block, column = Math.floor(x / size), row = Math.floor(y / size);
    const address = `${this.layer.address}/values/${plane}/${column}/${row}`;
    if (this.blocks.size > KEPT_BLOCKS) this.blocks.clear();
    if (!this.blocks.has(address)) this.blocks.set(address, fetchValues(address, this.layer.dtype));
    const values = await this.blocks.get(address);
    const width = Math.min(size, this.scene.sizes[plane][0] - column * size);
    return values && values[(y % size) * width + x % size];
  }
}

async function fetchValues(address, type) {
  const answer = await fetch(address);
  return answer.ok ? new ARRAYS[type](await answer.arrayBuffer()) : null;
}

// One image with what lies over it. `overlay` is the layer of labels that is shown, or null.
class Pane {
  constructor(element, words) {
    this.element = element; this.words = words; this.plane = 0; this.items = [];
    this.viewer = OpenSeadragon({
      element: element.querySelector(".view"), drawer: "canvas", showNavigationControl: false,
      imageSmoothingEnabled: false, maxZoomPixelRatio: 40, visibilityRatio: 0.3,
      animationTime: still ? 0 : 0.4, gestureSettingsMouse: { clickToZoom: false },
    });
    this.viewer.canvas.setAttribute("role", "application");
    this.viewer.canvas.setAttribute("aria-label", words.image);
    this.viewer.addHandler("canvas-key", (event) => {  // an image is neither turned nor mirrored
      if (/^[rfRF]$/.test(event.originalEvent.key)) event.preventDefaultAction = true;
    });
    for (const name of ["update-viewport", "resize"])
      this.viewer.addHandler(name, () => this.drawScale());
  }

  show(scene, overlay, look) {
    this.scene = scene; this.overlay = overlay; this.look = look;
    this.values = scene.layers.map((layer) => new Values(scene, layer));
    this.plane = Math.min(this.plane, scene.sizes.length - 1);
    this.load();
  }

  // The parts of the image, the lowest first: grey, each phase, uncertainty.
  parts() {
    const parts = [], of = (role) => this.scene.layers.filter((layer) => layer.role === role);
    for (const layer of of("image")) parts.push({ layer, query: "", opacity: () => 1 });
    for (const { label } of this.overlay ? this.overlay.phases : [])
      parts.push({ layer: this.overlay, query: `?phase=${label}`,
        opacity: () => this.look.hidden.has(label) ? 0 : this.look.opacity });
    for (const layer of of("uncertainty"))
      parts.push({ layer, query: "", opacity: () => this.look.uncertainty ? this.look.opacity : 0 });
    return parts;
  }

  load() {
    const [width, height] = this.scene.sizes[this.plane], tileSize = this.scene.tile, plane = this.plane;
    const maxLevel = Math.max(0, Math.ceil(Math.log2(Math.max(width, height) / tileSize)));
    const old = this.items.length ? this.viewer.world : null, parts = this.parts();
    const same = old && this.items.length === parts.length;
    if (old && !same) this.viewer.world.removeAll();
    this.items = parts;
    parts.forEach((part, index) => this.viewer.addTiledImage({
      index, replace: same, opacity: part.opacity(), tileSource: {
        width, height, tileSize, minLevel: 0, maxLevel,
        getTileUrl: (level, x, y) =>
          `${part.layer.address}/tiles/${plane}/${2 ** (maxLevel - level)}/${x}/${y}${part.query}`,
      },
      success: ({ item }) => { part.item = item; item.setOpacity(part.opacity()); this.drawScale(); },
    }));
  }

  refresh() {
    for (const part of this.items) if (part.item) part.item.setOpacity(part.opacity());
  }

  first() { return this.viewer.world.getItemAt(0); }

  // The pixel under a point of the window, or null beside the image.
  pixelAt(point) {
    const item = this.first();
    if (!item) return null;
    const at = item.viewerElementToImageCoordinates(point), [width, height] = this.scene.sizes[this.plane];
    const x = Math.floor(at.x), y = Math.floor(at.y);
    return x >= 0 && y >= 0 && x < width && y < height ? { x, y } : null;
  }

  async tell(pixel) {
    const output = this.element.querySelector(".readout");
    this.told = pixel;
    if (!pixel) { output.textContent = ""; return; }
    const { x, y } = pixel, told = [this.where(x, y)];
    for (const values of this.values) {
      const layer = values.layer, labels = layer.role !== "image" && layer.role !== "uncertainty";
      if (labels && layer !== this.overlay) continue;
      const value = await values.at(this.plane, x, y);
      if (this.told !== pixel) return;  // the pointer has gone on
      if (value !== undefined && value !== null) told.push(`${layer.title} ${this.read(layer, labels, value)}`);
    }
    output.textContent = told.join(" · ");
  }

  read(layer, labels, value) {
    const phase = labels && layer.phases.find(({ label }) => label === value);
    if (phase) return phase.name;
    if (labels) return value === 255 ? this.words.unlabelled : value;
    if (layer.role === "uncertainty") return value > 0 && value < 0.01 ? "< 1 %" : `${Math.round(100 * value)} %`;
    return layer.dtype === "float32" ? Number(value.toPrecision(3)) : value;
  }

  where(x, y) {
    const nm = this.scene.pixel_nm;
    return nm ? `x ${lengthOf(x * nm)}, y ${lengthOf(y * nm)}` : `x ${x}, y ${y} px`;
  }

  // A bar of a round length, at most a third of the window.
  drawScale() {
    const item = this.first(), scale = this.element.querySelector(".scale");
    if (!item || !this.scene) return;
    const zoom = item.viewportToImageZoom(this.viewer.viewport.getZoom(true));
    const nm = (this.scene.pixel_nm || 1) / zoom, most = nm * this.viewer.viewport.getContainerSize().x / 3;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = power * [5, 2, 1].find((factor) => factor * power <= most);
    scale.querySelector("i").style.width = `${length / nm}px`;
    scale.querySelector("span").textContent = this.scene.pixel_nm ? lengthOf(length) : `${Number(length.toPrecision(2))} px`;
    scale.hidden = false;
  }
}

function lengthOf(nm) {
  const [unit, factor] = nm >= 1e6 ? ["mm", 1e6] : nm >= 1000 ? ["µm", 1000] : ["nm", 1];
  return `${Number((nm / factor).toPrecision(3))} ${unit}`;
}

// The whole of it: a pane, another one beside it on demand, and what both are looked at with.
class Viewer {
  constructor(root) {
    this.root = root; this.words = root.dataset; this.look = { opacity: 0.45, hidden: new Set(), uncertainty: false };
    this.panes = [new Pane(root.querySelector(".pane"), this.words)];
    this.leader = this.panes[0];
    const on = (selector, event, act) => this.tool(selector) && this.tool(selector).addEventListener(event, act);
    on(".closer", "click", () => this.zoom(1.5));
    on(".farther", "click", () => this.zoom(1 / 1.5));
    on(".whole", "click", () => this.lead(this.panes[0]).goHome());
    on(".opacity", "input", (event) => this.change({ opacity: event.target.value / 100 }));
    on(".unsure", "change", (event) => this.change({ uncertainty: event.target.checked }));
    on(".slice", "input", (event) => this.turnTo(Number(event.target.value)));
    on(".which", "change", (event) => this.open(event.target.value));
    on(".beside", "change", (event) => this.showBeside(event.target.value));
    this.watch(this.panes[0]);
    this.open(root.dataset.scene);
  }

  tool(selector) { return this.root.querySelector(selector); }

  async open(address) {
    const scene = await this.fetchScene(address, () => this.open(address));
    this.tool(".tools").hidden = this.tool(".panes").hidden = !scene;
    if (!scene) return;
    const labels = scene.layers.find((layer) => layer.phases.length && !layer.address.includes("/truth-"));
    this.address = address;
    if (!scene.layers.some((layer) => layer.role === "image")) this.look.opacity = 1;
    this.tool(".opacity").value = 100 * this.look.opacity;
    const overlay = this.words.painting ? null : labels || null;  // a mask is shown in its place
    this.panes[0].show(scene, overlay, this.look);
    this.listPhases(overlay ? overlay.phases : []);
    this.tool(".overlay").hidden = !labels && !scene.layers.some((layer) => layer.role === "uncertainty");
    this.tool(".unsure").closest("label").hidden = !scene.layers.some((layer) => layer.role === "uncertainty");
    const slice = this.tool(".slice");
    slice.max = scene.sizes.length - 1;
    slice.closest("label").hidden = scene.sizes.length < 2 || Boolean(this.words.painting);
    const paint = this.tool(".to-paint");
    paint.hidden = !scene.paint || scene.paint === location.pathname;
    this.turnTo(Math.min(Number(this.words.plane || 0), scene.sizes.length - 1));
    this.listOthers(scene, labels);
    this.root.dispatchEvent(new CustomEvent("opened", { detail: scene }));
  }

  // What a scene is made of, or null; then `again` is offered where another try may help.
  async fetchScene(address, again) {
    const problem = this.tool(".viewer-problem"), offer = this.tool(".viewer-again");
    problem.hidden = false; problem.textContent = this.words.loading;
    offer.hidden = true; offer.firstElementChild.onclick = again;
    let scene = null;
    try {
      const answer = await fetch(address);
      const said = await answer.json();
      if (answer.ok) scene = said;
      else { problem.textContent = said.message; offer.hidden = answer.status < 500; }
    } catch { problem.textContent = this.words.broken; offer.hidden = false; }
    problem.hidden = Boolean(scene);
    return scene;
  }

  listPhases(phases) {
    const list = this.tool(".phases");
    list.querySelectorAll("label").forEach((label) => label.remove());
    list.hidden = !phases.length;
    this.look.hidden.clear();
    for (const { label, name, colour } of phases) {
      const row = document.createElement("label"), box = document.createElement("input"), spot = document.createElement("i");
      box.type = "checkbox"; box.checked = true;
      spot.style.background = `rgb(${colour.join(",")})`;
      row.append(box, spot, name);
      box.addEventListener("change", () => {
        if (box.checked) this.look.hidden.delete(label); else this.look.hidden.add(label);
        this.change({});
      });
      list.append(row);
    }
  }

  // What may stand beside it: the image alone, masks that were given for it, other results of it.
  listOthers(scene, labels) {
    const beside = this.tool(".beside");
    if (!beside) return;
    beside.querySelectorAll("[data-own]").forEach((option) => option.remove());
    const add = (value, words) => {
      const option = new Option(words, value);
      option.dataset.own = ""; beside.append(option);
    };
    if (labels && scene.layers.some((layer) => layer.role === "image")) add("image", this.words.alone);
    for (const layer of scene.layers)
      if (layer !== labels && layer.phases.length) add(`layer ${layer.address}`, this.words.truth.replace("{name}", layer.title));
    for (const other of scene.others || []) add(`scene ${other.address}`, other.title);
    beside.value = "";
    beside.closest("label").hidden = beside.options.length < 2;
    this.showBeside("");
  }

  async showBeside(choice) {
    const element = this.root.querySelectorAll(".pane")[1];
    if (!element) return;
    element.hidden = !choice;
    if (!choice) { this.panes.length = 1; return; }
    if (!this.other) this.watch(this.other = new Pane(element, this.words));
    const [kind, address] = choice.split(" "), own = this.panes[0].scene;
    const scene = kind === "scene" ? await this.fetchScene(address, () => this.showBeside(choice)) : own;
    if (!scene) { element.hidden = true; return; }
    const overlay = kind === "layer" ? own.layers.find((layer) => layer.address === address)
      : kind === "scene" ? scene.layers.find((layer) => layer.role === "labels") : null;
    this.panes[1] = this.other;
    this.other.plane = this.panes[0].plane;
    this.other.show(scene, overlay, this.look);
    this.lead(this.panes[0]);
    this.follow();
  }

  change(look) {
    Object.assign(this.look, look);
    this.panes.forEach((pane) => pane.refresh());
  }

  turnTo(plane) {
    const { scene } = this.panes[0];
    if (scene.paint) this.tool(".to-paint").href = scene.paint + (scene.sizes.length > 1 ? `?plane=${plane}` : "");
    this.tool(".slice").value = plane;
    this.tool(".slice-number").textContent = `${plane + 1} / ${this.panes[0].scene.sizes.length}`;
    for (const pane of this.panes) {
      if (pane.plane === plane) continue;
      pane.plane = Math.min(plane, pane.scene.sizes.length - 1);
      pane.load();
    }
  }

  // That pane is moved now; the other one follows it.
  lead(pane) {
    this.leader = pane;
    return pane.viewer.viewport;
  }

  zoom(factor) {
    const viewport = this.lead(this.panes[0]);
    viewport.zoomBy(factor);
    viewport.applyConstraints();
  }

  // Both panes show the same place, and tell the values of the same pixel.
  watch(pane) {
    new OpenSeadragon.MouseTracker({
      element: pane.element.querySelector(".view"),
      moveHandler: (event) => this.tell(pane.pixelAt(event.position)),
      leaveHandler: () => this.tell(null),
    });
    pane.viewer.addHandler("canvas-click", (event) => this.tell(pane.pixelAt(event.position)));
    pane.viewer.addHandler("canvas-key", () => this.tellCentre(pane));
    for (const name of ["canvas-enter", "canvas-press", "canvas-key"])
      pane.viewer.addHandler(name, () => { this.leader = pane; });
    for (const name of ["viewport-change", "animation"])
      pane.viewer.addHandler(name, () => { if (pane === this.leader) this.follow(); });
  }

  tell(pixel) { this.panes.forEach((pane) => pane.tell(pixel)); }

  tellCentre(pane) {
    const size = pane.viewer.viewport.getContainerSize();
    this.tell(pane.pixelAt(size.divide(2)));
  }

  follow() {
    const { viewport } = this.leader.viewer;
    for (const pane of this.panes) {
      if (pane === this.leader) continue;
      pane.viewer.viewport.zoomTo(viewport.getZoom(true), null, true);
      pane.viewer.viewport.panTo(viewport.getCenter(true), true);
    }
  }
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".viewer").forEach((root) => { root.viewer = new Viewer(root); });
});
