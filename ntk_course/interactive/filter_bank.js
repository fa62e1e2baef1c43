// The bank of eq. 5: random filters are drawn, each answers to one of 2^k patterns of signs.
(() => {
  "use strict";
  const { CourseFigure, define, range, svg, html, plain, richHtml } = globalThis.NtkCourse;

  const LAST = 10; // the clock runs in draws per pattern, q / 2^k
  const WIDE = 360, HIGH = 224; // the grid of slots, in its own units

  // Uniform numbers in [0, 1) from a seed (mulberry32).
  const generator = (seed) => {
    let a = Math.imul(seed + 1, 0x9e3779b9);
    return () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), a | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  };

  class FilterBank extends CourseFigure {
    build(spec) {
      this.panelBox.classList.add("even");
      this.seed = spec.seed;
      this.slotTitle = html("div", { style: "font-size: 12.5px; margin-bottom: 0.35rem" });
      this.grid = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": plain(spec.labels.slots) });
      this.panelBox.append(html("div", { class: "panel" }, this.slotTitle, this.grid));

      this.chart = this.panel({ label: spec.labels.curve, height: 260,
        onPick: (q) => this.time.set(q / this.n),
        x: { domain: [0, 1], title: "draws *q*" },
        y: { domain: [0, 1.04], ticks: range(6, (i) => [i / 5, (i / 5).toFixed(1)]), title: "probability, share" } });
      this.meanRule = this.chart.layer("rule", { color: "gold", width: 1.5, dash: "7 4", name: "mean of the draws needed" });
      this.boundLine = this.chart.layer("line", { color: "orange", width: 2, dash: "2 3", name: "union bound" });
      this.exactLine = this.chart.layer("line", { color: "blue", width: 2.5, name: "P(all seen), exact" });
      this.shareLine = this.chart.layer("line", { color: "green", width: 2, name: "share seen in this draw" });
      this.nowRule = this.chart.layer("rule", { color: "text", width: 1, opacity: 0.5, dash: "2 3" });
      this.nowDot = this.chart.layer("points", { color: "blue", size: 4.5 });

      this.n = 2 ** spec.k;
      this.time = this.timeline({ label: "draws *q*", min: 0, max: LAST, value: 1.5, log: false, seconds: 12,
        text: (t) => `q = ${this.at(t)}` });
      this.row();
      const [least, most] = spec.range;
      this.length = this.slider({ label: "*k*", name: "pattern length k", min: least, max: most, step: 1,
        value: spec.k, text: String, className: "short", onInput: () => { this.choose(); this.time.set(this.time.value); } });
      const again = html("button", { type: "button" }, "Draw again");
      again.addEventListener("click", () => {
        this.verdict.ariaLive = "polite"; // what the button does is said, what the clock does is not
        this.seed += 1; this.choose(); this.redraw();
        setTimeout(() => { this.verdict.ariaLive = "off"; }, 1000);
      });
      this.verdict = html("output", { "aria-live": "off" });
      this.controlBox.append(again, this.verdict);
      this.choose();
    }
    at(t) { return Math.round(t * this.n); }

    // What depends on k and the seed, not on the number of draws.
    choose() {
      const k = this.length.value, n = (this.n = 2 ** k), most = LAST * n, random = generator(this.seed);
      this.draws = range(most, () => Math.floor(random() * n));
      const seen = new Set();
      this.seen = [0, ...this.draws.map((z) => seen.add(z).size)];
      const complete = this.seen.indexOf(n);
      this.complete = complete < 0 ? Infinity : complete;

      // The chain "c seen" -> "c + 1 seen" with probability 1 - c/n, as in `tasks.coupon_coverage`.
      let chain = range(n + 1, (c) => (c ? 0 : 1));
      this.exact = [0];
      for (let q = 0; q < most; q++) {
        chain = chain.map((p, c) => (p * c) / n + (c ? chain[c - 1] * (1 - (c - 1) / n) : 0));
        this.exact.push(chain[n]);
      }
      this.time.input.step = 1 / n;  // an arrow key is one draw
      this.mean = n * range(n, (i) => 1 / (i + 1)).reduce((a, b) => a + b, 0);
      const qs = range(most + 1, (q) => q);
      this.chart.domain("x", 0, most);
      this.exactLine.set(qs, this.exact);
      this.boundLine.set(qs, qs.map((q) => this.bound(q)));
      this.meanRule.set([this.mean]);
      this.slotTitle.replaceChildren(...richHtml(`the ${n} patterns of *k* = ${k} signs (filled: +1)`));
      this.fill(k);
    }
    bound(q) { return 1 - this.n * Math.exp(-q / this.n); }

    // One slot a pattern, in the order of `tasks.hypercube`.
    fill(k) {
      const columns = 2 ** Math.floor(k / 2), w = WIDE / columns, h = (HIGH * columns) / this.n;
      const side = Math.min((w - 10) / (1.25 * k), h - 10, 17), step = 1.25 * side;
      this.slots = range(this.n, (z) => {
        const x = (z % columns) * w, y = Math.floor(z / columns) * h;
        const g = svg("g", { transform: `translate(${x} ${y})` });
        const box = svg("rect", { x: 2, y: 2, width: w - 4, height: h - 4, rx: 3 }, g);
        const left = (w - step * (k - 1) - side) / 2, plus = [], minus = [];
        range(k, (i) => ((z >> (k - 1 - i)) & 1 ? plus : minus).push(left + i * step));
        const d = (xs) => xs.map((v) => `M${v} ${(h - side) / 2}h${side}v${side}h${-side}z`).join("");
        return { g, box, plus: svg("path", { d: d(plus) }, g), minus: svg("path", { d: d(minus), fill: "none" }, g) };
      });
      this.grid.replaceChildren(...this.slots.map((s) => s.g));
    }

    draw() {
      const q = this.at(this.time.value), lit = new Set(this.draws.slice(0, q)), newest = this.draws[q - 1];
      this.slots.forEach((s, z) => {
        const on = lit.has(z), ink = on ? "#fff" : "currentColor";
        const box = { fill: on ? "var(--ntk-blue)" : "none", stroke: z === newest ? "var(--ntk-orange)" : "currentColor",
          "stroke-width": z === newest ? 3.5 : 1, "stroke-opacity": z === newest ? 1 : 0.3 };
        for (const [name, value] of Object.entries(box)) s.box.setAttribute(name, value);
        s.plus.setAttribute("fill", ink);
        s.minus.setAttribute("stroke", ink);
        s.g.setAttribute("opacity", on ? 1 : 0.6);
      });
      const share = (i) => this.seen[i] / this.n;
      this.shareLine.set(range(2 * q + 1, (i) => Math.ceil(i / 2)), range(2 * q + 1, (i) => share(i >> 1)));
      this.nowRule.set([q]);
      this.nowDot.set([q], [this.exact[q]]);
      const done = this.complete <= q;
      this.verdict.textContent = `${this.seen[q]} of ${this.n} seen${done ? `, the last at draw ${this.complete}` : ""}`;
      this.time.input.setAttribute("aria-valuetext", `q = ${q}, ${this.verdict.textContent}`);
      return { k: this.length.value, q, draws: this.draws.slice(0, q), seen: this.seen[q], share: share(q),
        complete: this.complete, exact: this.exact[q], bound: this.bound(q), mean: this.mean };
    }
  }
  define("ntk-filter-bank", FilterBank);
})();
