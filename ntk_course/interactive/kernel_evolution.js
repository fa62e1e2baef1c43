// The centred kernel of a network at saved epochs, plain and adversarial training side by side
// (section 4): heat maps without their scale, and the curves of velocity, alignment and norm.
(() => {
  "use strict";
  const { CourseFigure, define, format, html, range } = globalThis.NtkCourse;

  const STYLES = [{ color: "blue", dash: "", marker: "circle" }, { color: "orange", dash: "7 3", marker: "square" }];
  // Blue below zero, white at zero, dark orange above.
  const shade = (from, to, s) => from.map((v, i) => v + (to[i] - v) * s);
  const colours = (s) => (s < 0.5 ? shade([248, 248, 248], [28, 84, 160], 1 - 2 * s) : shade([248, 248, 248], [150, 52, 0], 2 * s - 1));

  class KernelEvolution extends CourseFigure {
    build(spec) {
      const n = (this.n = spec.classes.length), { epochs } = spec;
      const grid = (columns) => {
        const box = html("div", { style: `display: grid; gap: 0.4rem 1.2rem; grid-template-columns: ${columns}; grid-column: 1 / -1` });
        this.panelBox.append(box);
        return (options) => { const p = this.panel(options); box.append(p.box); return p; };
      };
      const middles = [...new Set(spec.classes)].map((c) => {
        const mine = spec.classes.map((v, i) => (v === c ? i : -1)).filter((i) => i >= 0);
        return [(mine[0] + mine.at(-1) + 1) / 2, String(c)];
      });
      const map = grid("repeat(2, minmax(0, 1fr))");
      this.maps = spec.runs.map(({ name }) => map({ label: `${spec.labels.kernel}, ${name}`, height: 400, aspect: 0.97,
        x: { domain: [0, n], ticks: middles }, y: { domain: [n, 0], ticks: middles, title: name } })
        .layer("image", { colours }));
      this.kernels = spec.runs.map((run) => run.shades.map((flat) => this.unfold(flat, run.scale)));
      // One scale for both trainings; the few largest entries (the diagonal) saturate.
      const sizes = this.kernels.flat(3).map(Math.abs).sort((a, b) => a - b);
      this.limit = sizes[Math.floor(0.985 * sizes.length)];

      const at = Array.from(epochs, (t) => t + 1), last = at.at(-1);
      const between = range(at.length - 1, (i) => Math.sqrt(at[i] * at[i + 1]));
      const ticks = [0, 1, 3, 10, 30, 100, 300, 1000].filter((t) => t < last).map((t) => [t + 1, String(t)]);
      const chart = grid("repeat(auto-fit, minmax(min(13rem, 100%), 1fr))");
      this.charts = [["velocity", true, "velocity"], ["alignment", false, "alignment"], ["norm", true, "norm, relative"]]
        .map(([key, log, title], j) => {
          const all = spec.runs.flatMap((run) => Array.from(run[key])).filter((v) => !log || v > 0);
          const [lo, hi] = [Math.min(...all), Math.max(...all)], room = 0.12 * (hi - lo) || 0.01;
          const panel = chart({ label: spec.labels[key], height: 230, aspect: 1.2, onPick: (t) => this.time.set(this.nearest(t)),
            x: { domain: [1, last], log: true, ticks, title: "epoch" },
            y: { domain: log ? [lo / 1.4, hi * 1.4] : [lo - room, hi + room], log, title } });
          const xs = key === "velocity" ? between : at;
          const dots = spec.runs.map((run, k) => {
            const options = j ? {} : { name: run.name };
            panel.layer("line", { color: STYLES[k].color, dash: STYLES[k].dash, ...options }).set(xs, run[key]);
            return panel.layer("points", { color: STYLES[k].color, marker: STYLES[k].marker, size: 4.5 });
          });
          return { key, xs, dots, rule: panel.layer("rule", { color: "text", width: 1, opacity: 0.5, dash: "2 3" }) };
        });
      this.time = this.timeline({ label: "epoch", min: 0, max: epochs.length - 1, step: 1, log: false, seconds: 9,
        text: (i) => `epoch ${epochs[Math.round(i)]}` });
    }
    // The saved epoch that is nearest to t - 1 on the logarithmic axis.
    nearest(t) {
      const off = Array.from(this.spec.epochs, (e) => Math.abs(Math.log((e + 1) / t)));
      return off.indexOf(Math.min(...off));
    }
    // The symmetric matrix whose upper triangle is given row by row.
    unfold(flat, scale) {
      const rows = range(this.n, () => new Array(this.n));
      let at = 0;
      for (let i = 0; i < this.n; i++)
        for (let j = i; j < this.n; j++) rows[i][j] = rows[j][i] = flat[at++] * scale;
      return rows;
    }
    draw() {
      const { spec } = this, i = Math.round(this.time.value), epoch = spec.epochs[i];
      this.maps.forEach((layer, k) => layer.set(this.kernels[k][i], [-this.limit, this.limit]));
      const numbers = { index: i, epoch, kernels: this.kernels.map((all) => all[i]) };
      for (const { key, xs, dots, rule } of this.charts) {
        const here = Math.min(i, xs.length - 1);
        numbers[key] = spec.runs.map((run) => run[key][here]);
        dots.forEach((dot, k) => dot.set([xs[here]], [numbers[key][k]]));
        rule.set([xs[here]]);
      }
      const words = spec.runs.map((run, k) => `${run.name}: velocity ${format(numbers.velocity[k], 2)}, ` +
        `alignment ${format(numbers.alignment[k], 3)}, norm ${format(numbers.norm[k], 3)}`);
      this.time.input.setAttribute("aria-valuetext", `epoch ${epoch}; ${words.join("; ")}`);
      return numbers;
    }
  }
  define("ntk-kernel-evolution", KernelEvolution);
})();
