// Spectral bias (eqs 15, 20, 21): a target on the circle, learned one eigenmode at a time.
(() => {
  "use strict";
  const { CourseFigure, define, format, range, logspace, logTicks, richHtml } = globalThis.NtkCourse;

  const COLOURS = ["blue", "orange", "green", "purple", "pink", "gold"];
  const PI_TICKS = [[-Math.PI, "−π"], [-Math.PI / 2, "−π/2"], [0, "0"], [Math.PI / 2, "π/2"], [Math.PI, "π"]];
  const dot = (a, b) => { let sum = 0; for (let i = 0; i < a.length; i++) sum += a[i] * b[i]; return sum; };

  class SpectralBias extends CourseFigure {
    build(spec) {
      const { frequencies: ks, labels } = spec, [lo, hi] = spec.times;
      const time = { domain: [lo, hi], log: true, title: "training time *t*" };
      const pick = (t) => this.time.set(t);
      this.variants = spec.variants.map((v) => this.prepare(v));
      this.panelBox.classList.add("pair");

      const view = (this.view = this.panel({ label: labels.outputs, height: 250,
        x: { domain: [-Math.PI, Math.PI], ticks: PI_TICKS, title: "angle *θ* on the circle" },
        y: { domain: [-1, 1], title: "output *f*_{t}(*θ*)" } }));
      this.target = view.layer("line", { color: "text", width: 1.5, opacity: 0.8, dash: "5 4", name: "target *y*" });
      this.output = view.layer("line", { color: "blue", width: 1.25, opacity: 0.7 });
      this.dots = view.layer("points", { color: "blue", size: 3, name: "learned *f*_{t} at the training points" });

      // Half-lives live on the time axis, stretched by a place for "never".
      this.never = hi * (hi / lo) ** 0.1;
      this.bars = this.panel({ label: labels.modes, height: 230,
        x: { domain: [lo / 1.5, hi * (hi / lo) ** 0.2], log: true, title: "half-life ln 2 / *ηλ*_{i}" },
        y: { domain: [0, 1], title: "error left in each mode  |*V*_{i}·(*y* − *f*_{t})|" } });
      this.start = this.bars.layer("bars", { color: "text", filled: false, width: 1, opacity: 0.5 });
      this.left = ks.map((k, i) => this.bars.layer("bars", { color: COLOURS[i], name: `*k* = ${k}` }));
      this.barNames = this.bars.layer("text", {});
      this.barRule = this.bars.layer("rule", { color: "text", width: 1, opacity: 0.5, dash: "2 3" });

      this.losses = this.panel({ label: labels.loss, height: 230, onPick: pick, x: time,
        y: { domain: [1e-3, 1], log: true, title: "training loss  Σ_{i} (*f*_{t} − *y*)²" } });
      this.curve = this.losses.layer("line", { color: "blue", width: 2.5 });
      this.lossRule = this.losses.layer("rule", { color: "text", width: 1, opacity: 0.5, dash: "2 3" });
      this.lossDot = this.losses.layer("points", { color: "blue", size: 4.5 });

      this.time = this.timeline({ min: lo, max: hi, value: spec.start });
      if (this.variants.length > 1)
        this.variant = this.select({ label: "points and kernel", options: spec.variants.map((v) => v.name),
          onInput: () => this.choose() });
      this.row();
      this.amplitudes = ks.map((k, i) => this.slider({ label: `*k* = ${k}`, min: 0, max: spec.amplitude_max,
        step: 0.05, value: spec.amplitudes[i], text: (v) => v.toFixed(2), className: "short",
        name: `*k* = ${k}, amplitude`, onInput: () => this.choose() }));
      this.choose();
    }

    // Sort the points by angle, collect eigenvalues into eigenspaces, project each frequency.
    prepare({ name, angles, rates, vectors }) {
      const turn = (a) => a - 2 * Math.PI * Math.floor((a + Math.PI) / (2 * Math.PI));
      const order = range(angles.length, (j) => j).sort((a, b) => turn(angles[a]) - turn(angles[b]));
      const theta = order.map((j) => turn(angles[j])), rows = order.map((j) => vectors[j]);
      const groups = [];
      rates.forEach((rate, i) => {
        const g = groups.at(-1);
        if (g && g.rate - rate <= 2e-3 * g.rate) g.members.push(i);
        else groups.push({ rate, members: [i] });
      });
      const waves = this.spec.frequencies.map((k) => theta.map((a) => Math.cos(k * a)));
      const parts = waves.map((w) => range(rates.length, (i) => w.reduce((s, v, j) => s + v * rows[j][i], 0)));
      return { name, theta, rows, rates, groups, waves, parts, halfLives: parts.map((p) => this.halfLife(rates, p)) };
    }
    // When half of a frequency's error is gone; infinite if it cannot be learned.
    halfLife(rates, part) {
      const left = (t) => part.reduce((s, c, i) => s + (c * Math.exp(-rates[i] * t)) ** 2, 0);
      const goal = left(0) / 4;
      let lo = Math.log(this.spec.times[0]) - 7, hi = Math.log(this.spec.times[1]) + 14;
      if (left(Math.exp(hi)) > goal) return Infinity;
      for (let i = 0; i < 50; i++) {
        const mid = (lo + hi) / 2;
        if (left(Math.exp(mid)) > goal) lo = mid; else hi = mid;
      }
      return Math.exp(lo);
    }

    // What depends on the target and the variant, not on the time.
    choose() {
      const v = (this.current = this.variants[this.variant?.value ?? 0]), { spec } = this;
      const ks = spec.frequencies, a = this.amplitudes.map((s) => s.value);
      this.y = v.theta.map((_, j) => a.reduce((s, ak, f) => s + ak * v.waves[f][j], 0));
      this.c = range(v.rates.length, (i) => a.reduce((s, ak, f) => s + ak * v.parts[f][i], 0));
      const reach = 1.08 * Math.max(0.5, a.reduce((s, ak) => s + ak, 0));
      this.view.domain("y", -reach, reach);
      const fine = range(361, (i) => -Math.PI + (i * Math.PI) / 180);
      this.target.set(fine, fine.map((x) => a.reduce((s, ak, f) => s + ak * Math.cos(ks[f] * x), 0)));

      // One bar an eigenspace; the space that never learns is split by frequency, side by side.
      const energy = (g, f) => g.members.reduce((s, i) => s + (a[f] * v.parts[f][i]) ** 2, 0);
      this.places = [];
      for (const g of v.groups) {
        const shares = ks.map((_, f) => energy(g, f)), late = Math.LN2 / g.rate > spec.times[1] * 1.2;
        const size = Math.sqrt(g.members.reduce((s, i) => s + this.c[i] ** 2, 0));
        if (!late) this.places.push({ g, f: shares.indexOf(Math.max(...shares)), x: Math.LN2 / g.rate, size });
        else shares.forEach((share, f) => this.places.push({ g, f, x: this.never, size: Math.sqrt(share), late }));
      }
      const biggest = Math.max(...this.places.map((p) => p.size), 0.1);
      this.places = this.places.filter((p) => p.size > 5e-3 * biggest);
      const resting = this.places.filter((p) => p.late), gap = (spec.times[1] / spec.times[0]) ** 0.05;
      resting.forEach((p, i) => { p.x *= gap ** (i - (resting.length - 1) / 2); });
      const endless = resting.every((p) => p.g.rate === 0) ? "never" : "later", [lo, hi] = spec.times;
      this.bars.x.ticks = [...logTicks(lo, hi / 4, 5), ...(resting.length ? [[this.never, endless]] : [])];
      this.bars.y.domain = null;
      this.bars.domain("y", 0, 1.22 * biggest);
      const wide = this.places.length > 12 ? 6 : 12;
      this.start.options.size = wide - 1;
      this.left.forEach((layer) => { layer.options.size = wide; });
      this.start.set(this.places.map((p) => p.x), this.places.map((p) => p.size));
      const tallest = ks.map((_, f) => this.places.filter((p) => p.f === f).sort((p, q) => q.size - p.size)[0]);
      const named = this.places.filter((p) => p.late ? p.size > 0.05 * biggest : p === tallest[p.f]);
      this.barNames.set(named.map((p) => p.x), named.map((p) => p.size), named.map((p) => String(ks[p.f])));
      ks.forEach((k, f) => {
        const life = v.halfLives[f], words = life === Infinity ? "is never learned" : `half gone at ${format(life)}`;
        this.left[f].chip.lastChild.replaceChildren(...richHtml(`*k* = ${k} ${words}`));
      });

      const ts = logspace(...spec.times, 160), losses = ts.map((t) => this.loss(t)), top = Math.max(this.loss(0), 1e-3);
      const low = Math.max(losses.at(-1), 1e-6 * top);
      this.losses.domain("y", 10 ** Math.floor(Math.log10(low) - 0.1), 10 ** Math.ceil(Math.log10(top) + 0.1));
      this.curve.set(ts, losses);
    }
    // Eq. 21.
    loss(t) {
      return this.current.rates.reduce((s, rate, i) => s + (this.c[i] * Math.exp(-rate * t)) ** 2, 0);
    }

    draw() {
      const { current: v, c, spec } = this, t = this.time.value;
      const errors = c.map((ci, i) => ci * Math.exp(-v.rates[i] * t));
      const learned = c.map((ci, i) => -ci * Math.expm1(-v.rates[i] * t));
      const fx = v.rows.map((row) => dot(row, learned)), loss = dot(errors, errors);
      const last = v.theta.length - 1, around = 2 * Math.PI;
      this.output.set([v.theta[last] - around, ...v.theta, v.theta[0] + around], [fx[last], ...fx, fx[0]]);
      this.dots.set(v.theta, fx);
      const size = (p) => (p.late ? p.size * Math.exp(-p.g.rate * t)
        : Math.sqrt(p.g.members.reduce((s, i) => s + errors[i] ** 2, 0)));
      spec.frequencies.forEach((_, f) => {
        const mine = this.places.filter((p) => p.f === f);
        this.left[f].set(mine.map((p) => p.x), mine.map(size));
      });
      this.barRule.set([t]);
      this.lossRule.set([t]);
      this.lossDot.set([t], [loss]);
      this.time.input.setAttribute("aria-valuetext", `t = ${format(t)}, loss ${format(loss)}`);
      return { t, variant: v.name, amplitudes: this.amplitudes.map((s) => s.value), theta: v.theta, y: this.y,
        fx, loss, errors: errors.map(Math.abs), halfLives: v.halfLives };
    }
  }
  define("ntk-spectral-bias", SpectralBias);
})();
