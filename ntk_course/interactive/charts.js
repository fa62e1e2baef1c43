// What the course's moving figures are drawn with: numbers, ticks, layers and panels, all in svg.
// Every output carries its own copy; the first one on a page defines `NtkCourse`, the others skip.
(() => {
  "use strict";
  if (globalThis.NtkCourse) return;

  // ---- numbers --------------------------------------------------------------------------------
  // {f32: base64, shape} -> Float32Array, or an array of rows for two axes.
  const decode = ({ f32, shape }) => {
    const bytes = Uint8Array.from(atob(f32), (c) => c.charCodeAt(0));
    const flat = new Float32Array(bytes.buffer);
    if (shape.length === 1) return flat;
    return Array.from({ length: shape[0] }, (_, i) => flat.subarray(i * shape[1], (i + 1) * shape[1]));
  };
  const parse = (text) => JSON.parse(text, (_, v) => (v && v.f32 !== undefined ? decode(v) : v));

  const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷",
    8: "⁸", 9: "⁹" };
  const power = (e) => "10" + [...String(e)].map((c) => SUPERSCRIPT[c]).join("");
  // Three significant digits (before a power of ten two), a real minus sign, powers of ten outside
  // 0.001 .. 99999.
  const format = (v, digits = 3) => {
    if (!Number.isFinite(v)) return v > 0 ? "∞" : v < 0 ? "−∞" : "–";
    if (v === 0) return "0";
    const size = Math.abs(+v.toPrecision(digits));
    if (size < 1e-3 || size >= 1e5) {
      const [m, e] = v.toExponential(Math.max(0, digits - 2)).split("e");
      return `${m}·${power(+e)}`.replace("-", "−");
    }
    const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
    return v.toFixed(decimals).replace("-", "−");
  };
  const linearTicks = (lo, hi, count) => {
    const raw = (hi - lo) / Math.max(count, 1), base = 10 ** Math.floor(Math.log10(raw));
    const step = base * [1, 2, 2.5, 5, 10].find((m) => m * base >= raw * 0.999);
    const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / base === 2.5 ? 1 : 0));
    const ticks = [];
    for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + 1e-9 * step; i++)
      ticks.push([i * step, (i * step).toFixed(decimals).replace(/^-(0\.?0*)$/, "$1").replace("-", "−")]);
    return ticks;
  };
  const logTicks = (lo, hi, count) => {
    const first = Math.ceil(Math.log10(lo) - 1e-9), last = Math.floor(Math.log10(hi) + 1e-9);
    const stride = Math.max(1, Math.ceil((last - first + 1) / Math.max(count, 2)));
    const ticks = [], plain = lo > 5e-3 && hi < 2e3;
    for (let e = Math.ceil(first / stride) * stride; e <= last; e += stride)
      ticks.push([10 ** e, plain ? String(+(10 ** e).toPrecision(1)) : power(e)]);
    return ticks.length > 1 ? ticks : linearTicks(lo, hi, count);
  };

  // ---- elements -------------------------------------------------------------------------------
  const svg = (tag, attributes = {}, parent = null) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
    if (parent) parent.append(node);
    return node;
  };
  const html = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [k, v] of Object.entries(attributes)) if (v !== null) node.setAttribute(k, v);
    node.append(...children);
    return node;
  };
  // "loss *L*_{t}": a letter between stars is a symbol, _{...} a subscript.
  const pieces = (text) => [...text.matchAll(/\*([^*]+)\*|_\{([^}]+)\}|[^*_]+|[*_]/g)]
    .map((m) => (m[1] ? ["symbol", m[1]] : m[2] ? ["sub", m[2]] : ["plain", m[0]]));
  const plain = (text) => pieces(text).map((p) => p[1]).join("");
  const richHtml = (text) => pieces(text).map(([kind, s]) => (kind === "plain" ? s
    : html(kind === "sub" ? "sub" : "span", kind === "symbol" ? { class: "symbol" } : {}, s)));
  const richSvg = (node, text) => {
    let lowered = false;
    node.replaceChildren(...pieces(text).map(([kind, s]) => {
      const span = svg("tspan", kind === "symbol" ? { class: "symbol" } : {});
      if (kind === "sub") span.setAttribute("class", "sub");
      if (lowered !== (kind === "sub")) span.setAttribute("dy", lowered ? "-3" : "3");
      lowered = kind === "sub";
      span.textContent = s;
      return span;
    }));
    return node;
  };
  const colour = (name) => (name === "text" ? "currentColor" : `var(--ntk-${name})`);

  // ---- layers: each is one path, rewritten in place --------------------------------------------
  const MARKERS = {
    circle: (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
    square: (x, y, r) => `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
    diamond: (x, y, r) => `M${x} ${y - 1.3 * r}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}z`,
    cross: (x, y, r) => `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`,
  };
  const round = (v) => Math.round(v * 10) / 10;
  const clip = (v, size) => Math.min(Math.max(v, -size), 2 * size);
  const SHAPES = {
    // A polyline; it breaks where a value has no place on the axes (0 on a log axis, NaN).
    line(p, xs, ys) {
      let d = "", pen = "M";
      for (let i = 0; i < xs.length; i++) {
        const x = p.px(xs[i]), y = p.py(ys[i]);
        if (Number.isNaN(x + y)) { pen = "M"; continue; }
        d += `${pen}${round(x)} ${round(clip(y, p.height))}`;
        pen = "L";
      }
      return d;
    },
    points(p, xs, ys, { marker = "circle", size = 4 }) {
      let d = "";
      for (let i = 0; i < xs.length; i++) {
        const x = p.px(xs[i]), y = p.py(ys[i]);
        if (x >= -1 && x <= p.width + 1 && y >= -1 && y <= p.height + 1)
          d += MARKERS[marker](round(x), round(y), size);
      }
      return d;
    },
    bars(p, xs, ys, { size = 10 }) {
      let d = "";
      for (let i = 0; i < xs.length; i++) {
        const x = round(p.px(xs[i]) - size / 2), y = round(clip(p.py(ys[i]), p.height));
        if (!Number.isNaN(x + y)) d += `M${x} ${p.height}V${y}h${size}V${p.height}z`;
      }
      return d;
    },
    // The area between two curves.
    band(p, xs, lows, highs) {
      const back = Array.from(xs).reverse();
      const top = SHAPES.line(p, xs, highs), bottom = SHAPES.line(p, back, Array.from(lows).reverse());
      return top && bottom ? `${top}${bottom.replace("M", "L")}z` : "";
    },
    // Vertical lines.
    rule: (p, xs) => xs.map((x) => (Number.isNaN(p.px(x)) ? "" : `M${round(p.px(x))} 0V${p.height}`)).join(""),
  };
  const FILLED = { points: 1, bars: 1, band: 1 };

  class Layer {
    constructor(panel, kind, options) {
      Object.assign(this, { panel, kind, options, data: null });
      const tag = kind === "text" ? "g" : kind === "image" ? "image" : "path";
      this.node = svg(tag, {}, kind === "text" ? panel.above : panel.plot);
      if (kind === "image") this.node.setAttribute("preserveAspectRatio", "none");
      this.style(options);
    }
    style(changes) {
      const o = Object.assign(this.options, changes), n = this.node, ink = colour(o.color || "text");
      if (this.kind === "text") return n.replaceChildren();
      n.setAttribute("opacity", o.opacity ?? 1);
      if (this.kind === "image") return n.setAttribute("style", "image-rendering: pixelated");
      const filled = o.filled ?? Boolean(FILLED[this.kind]);
      n.setAttribute("fill", filled ? ink : "none");
      n.setAttribute("stroke", filled && !o.width ? "none" : ink);
      n.setAttribute("stroke-width", o.width ?? 2);
      n.setAttribute("stroke-linejoin", "round");
      n.setAttribute("stroke-dasharray", o.dash || "none");
    }
    // line, points, bars: (xs, ys); band: (xs, lows, highs); rule: (xs); text: (xs, ys, strings);
    // image: (rows of values, [lo, hi] of the colour scale), drawn over the panel's whole domain.
    set(...data) { this.data = data; this.render(); }
    show(visible) {
      this.node.style.display = visible ? "" : "none";
      if (this.chip) this.chip.hidden = !visible;
    }
    render() {
      const { panel: p, data, kind, node } = this;
      if (!data || !p.ready) return;
      if (kind === "text") return this.write(...data);
      if (kind === "image") return this.paint(...data);
      const [xs, ys] = data, extra = kind === "band" ? data[2] : this.options;
      node.setAttribute("d", SHAPES[kind](p, xs, ys, extra));
    }
    write(xs, ys, strings) {
      while (this.node.childElementCount < strings.length)
        svg("text", { "text-anchor": this.options.anchor || "middle", class: "label" }, this.node);
      [...this.node.children].forEach((t, i) => {
        const shown = i < strings.length && !Number.isNaN(this.panel.px(xs[i]) + this.panel.py(ys[i]));
        t.style.display = shown ? "" : "none";
        if (!shown) return;
        t.setAttribute("x", round(this.panel.px(xs[i])));
        t.setAttribute("y", round(this.panel.py(ys[i]) - (this.options.lift ?? 6)));
        if (t.dataset.text !== strings[i]) richSvg(t, (t.dataset.text = strings[i]));
      });
    }
    paint(rows, [lo, hi]) {
      const canvas = (this.canvas ||= document.createElement("canvas")), top = 1023;
      const { colours = (s) => [255 * s, 255 * s, 255 * s] } = this.options;
      const palette = (this.palette ||= range(top + 1, (k) => colours(k / top)));
      canvas.width = rows[0].length; canvas.height = rows.length;
      const context = canvas.getContext("2d"), pixels = context.createImageData(canvas.width, canvas.height);
      rows.forEach((row, i) => row.forEach((v, j) => {
        const s = Math.min(Math.max((v - lo) / (hi - lo), 0), 1);
        const rgb = palette[Math.round(top * s) || 0], at = 4 * (i * canvas.width + j);
        for (let k = 0; k < 3; k++) pixels.data[at + k] = rgb[k];
        pixels.data[at + 3] = 255;
      }));
      context.putImageData(pixels, 0, 0);
      this.node.setAttribute("href", canvas.toDataURL());
      for (const [k, v] of Object.entries({ x: 0, y: 0, width: this.panel.width, height: this.panel.height }))
        this.node.setAttribute(k, v);
    }
  }

  // ---- a panel: one svg with two axes, laid out in real pixels so that text keeps its size -------
  class Panel {
    constructor(figure, { label, height = 200, aspect = 1.1, x, y, onPick = null }) {
      Object.assign(this, { figure, tallest: height, aspect, x: { ...x }, y: { ...y }, layers: [], ready: false });
      this.box = html("div", { class: onPick ? "panel picks" : "panel" });
      this.root = svg("svg", { role: "img", "aria-label": plain(label) }, this.box);
      this.frame = svg("g", {}, this.root);
      this.plot = svg("svg", {}, this.root);
      this.above = svg("g", {}, this.root);
      if (onPick) {
        const pick = (e) => e.buttons && onPick(this.xAt(e.clientX));
        this.root.addEventListener("pointerdown", pick);
        this.root.addEventListener("pointermove", pick);
      }
    }
    layer(kind, options = {}) {
      const layer = new Layer(this, kind, { ...options });
      this.layers.push(layer);
      if (options.name) this.figure.addLegend(layer);
      return layer;
    }
    // Change a domain; the frame is redrawn only if it really changed.
    domain(axis, lo, hi) {
      const old = this[axis].domain;
      if (old && old[0] === lo && old[1] === hi) return;
      this[axis].domain = [lo, hi];
      if (this.ready) this.resize(this.outer);
    }
    place(axis, v) {
      const [lo, hi] = axis.domain;
      if (!axis.log) return (v - lo) / (hi - lo);
      return v > 0 ? Math.log(v / lo) / Math.log(hi / lo) : NaN;
    }
    px(v) { return this.place(this.x, v) * this.width; }
    py(v) { return (1 - this.place(this.y, v)) * this.height; }
    xAt(clientX) {
      const s = (clientX - this.root.getBoundingClientRect().left - this.left) / this.width;
      const [lo, hi] = this.x.domain, at = Math.min(Math.max(s, 0), 1);
      return this.x.log ? lo * (hi / lo) ** at : lo + (hi - lo) * at;
    }
    resize(outer) {
      if (!(outer > 40) || !this.x.domain || !this.y.domain) return;
      this.full = Math.min(this.tallest, Math.max(190, outer / this.aspect));
      const top = this.y.title ? 26 : 8, bottom = this.x.title ? 40 : 24;
      const ticks = (axis, count) => axis.ticks || (axis.log ? logTicks : linearTicks)(...axis.domain, count);
      this.height = this.full - top - bottom;
      const yTicks = ticks(this.y, Math.max(2, Math.floor(this.height / 42)));
      this.left = 12 + 7 * Math.max(...yTicks.map((t) => [...t[1]].length));
      this.width = outer - this.left - 10;
      const xTicks = ticks(this.x, Math.max(2, Math.floor(this.width / 62)));
      Object.assign(this, { outer, ready: true });
      this.root.setAttribute("viewBox", `0 0 ${outer} ${this.full}`);
      this.root.setAttribute("height", this.full);
      const place = { x: this.left, y: top, width: this.width, height: this.height };
      for (const [k, v] of Object.entries(place)) this.plot.setAttribute(k, v);
      this.plot.setAttribute("overflow", "hidden");
      this.above.setAttribute("transform", `translate(${this.left} ${top})`);
      const g = svg("g", { transform: `translate(${this.left} ${top})` });
      const write = (text, x, y, anchor, kind = "tick") =>
        richSvg(svg("text", { x, y, "text-anchor": anchor, class: kind }, g), text);
      let grid = "", marks = "";
      for (const [v, text] of xTicks) {
        const x = round(this.px(v));
        grid += `M${x} 0V${this.height}`; marks += `M${x} ${this.height}v4`;
        const last = this.width + 10 - 3.5 * [...plain(text)].length; // not over the figure's edge
        write(text, Math.min(x, last), this.height + 17, "middle");
      }
      for (const [v, text] of yTicks) {
        const y = round(this.py(v));
        grid += `M0 ${y}H${this.width}`;
        write(text, -7, y + 4, "end");
      }
      svg("path", { class: "grid", d: grid }, g);
      svg("path", { class: "axis", d: `M0 ${this.height}H${this.width}${marks}` }, g);
      if (this.x.title) write(this.x.title, this.width / 2, this.height + 34, "middle", "title");
      if (this.y.title) write(this.y.title, -this.left + 2, -12, "start", "title");
      this.frame.replaceChildren(g);
      for (const layer of this.layers) layer.render();
    }
  }

  // Where a function on a grid is zero: a short piece for each cell that the line crosses.
  const zeroLine = (f, xs, ys) => {
    const px = [], py = [];
    const cross = (a, b, va, vb) => a + ((b - a) * va) / (va - vb);
    for (let r = 0; r + 1 < ys.length; r++)
      for (let c = 0; c + 1 < xs.length; c++) {
        const v = [f[r][c], f[r][c + 1], f[r + 1][c + 1], f[r + 1][c]], hits = [];
        if (v[0] * v[1] < 0) hits.push([cross(xs[c], xs[c + 1], v[0], v[1]), ys[r]]);
        if (v[1] * v[2] < 0) hits.push([xs[c + 1], cross(ys[r], ys[r + 1], v[1], v[2])]);
        if (v[3] * v[2] < 0) hits.push([cross(xs[c], xs[c + 1], v[3], v[2]), ys[r + 1]]);
        if (v[0] * v[3] < 0) hits.push([xs[c], cross(ys[r], ys[r + 1], v[0], v[3])]);
        for (let h = 0; h + 1 < hits.length; h += 2) {
          px.push(hits[h][0], hits[h + 1][0], NaN);
          py.push(hits[h][1], hits[h + 1][1], NaN);
        }
      }
    return [px, py];
  };

  const range = (count, f) => Array.from({ length: count }, (_, i) => f(i));
  const logspace = (lo, hi, count) => range(count, (i) => lo * (hi / lo) ** (i / (count - 1)));
  globalThis.NtkCourse = { Panel, MARKERS, decode, parse, format, logTicks, svg, html, plain, richHtml, range, logspace, zeroLine };
})();
