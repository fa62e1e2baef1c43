// Linearized dynamics (eqs 14, 15, 21): a network's kernel flow beside stored finite-width runs.
(() => {
  "use strict";
  const { CourseFigure, define, format, range, logspace } = globalThis.NtkCourse;

  // Where t lies among stored times: index i and weight w of i + 1, linear in log t.
  const locate = (times, t) => {
    const last = times.length - 1;
    if (t <= times[0] || last === 0) return [0, 0];
    if (t >= times[last]) return [Math.max(last - 1, 0), 1];
    let i = 0;
    while (times[i + 1] < t) i++;
    const [a, b] = [times[i], times[i + 1]];
    return [i, a > 0 ? Math.log(t / a) / Math.log(b / a) : t / b];
  };
  const mix = (a, b, w) => (1 - w) * a + w * b;
  // A positive quantity is a straight line between stored times on log-log axes.
  const mixLog = (a, b, w) => (a > 0 && b > 0 ? a * (b / a) ** w : mix(a, b, w));
  const span = (arrays, floor = -Infinity) => {
    let lo = Infinity, hi = -Infinity;
    for (const a of arrays) for (const v of a) if (v > floor) { lo = Math.min(lo, v); hi = Math.max(hi, v); }
    return [lo, hi];
  };

  class LinearizedDynamics extends CourseFigure {
    build(spec) {
      const { x_train: x, y_train: y, x_grid: grid, runs } = spec;
      const [lo, hi] = spec.times;
      const pick = (t) => this.time.set(t);
      const time = { domain: [lo, hi], log: true, title: "training time *t*" };
      this.panelBox.classList.add("split");

      const ends = span([y, this.kernel(Infinity, grid.length, spec.grid_modes), ...runs.flatMap((r) => r.fx_grid)]);
      const pad = 0.08 * (ends[1] - ends[0]);
      const view = this.panel({ label: spec.labels.outputs, height: 400, aspect: 0.87,
        x: { domain: span([x, grid]), title: spec.x_title, ticks: spec.x_ticks },
        y: { domain: [ends[0] - pad, ends[1] + pad], title: "output *f*_{t}(*x*)" } });
      this.final = view.layer("line", { color: "blue", width: 1.25, opacity: 0.8, dash: "2 4",
        name: "kernel, *t* = ∞" });
      this.flow = view.layer("line", { color: "blue", width: 3, name: "kernel flow" });
      this.network = view.layer("line", { color: "orange", width: 2.25, dash: "7 4", name: "network" });
      this.data = view.layer("points", { color: "text", size: 4, name: "training data" });
      this.final.set(grid, this.kernel(Infinity, grid.length, spec.grid_modes));
      this.data.set(x, y);

      if (runs.length) {
        const drift = span(runs.flatMap((r) => [r.kernel_drift, r.weight_drift]), 0);
        this.drift = this.panel({ label: spec.labels.drift, height: 198, onPick: pick, x: { ...time, title: "" },
          y: { domain: [drift[0] / 1.3, drift[1] * 1.6], log: true, title: "relative drift since *t* = 0" } });
        const pair = (faint) => [
          this.drift.layer("line", { color: "purple", width: faint ? 1.25 : 2.25, opacity: faint ? 0.75 : 1,
            name: faint ? undefined : "drift of the kernel" }),
          this.drift.layer("line", { color: "green", width: faint ? 1.25 : 2.25, opacity: faint ? 0.75 : 1,
            dash: faint ? "3 3" : "6 3", name: faint ? undefined : "drift of the weights" })];
        for (const run of runs) {
          const [kernel, weight] = pair(true);
          kernel.set(run.times, run.kernel_drift);
          weight.set(run.times, run.weight_drift);
        }
        const ends = runs.map((r) => [r.times.at(-1), r.weight_drift.at(-1), `*m* = ${r.width}`]);
        this.drift.layer("text", { anchor: "end", lift: 4, size: 11 }).set(...[0, 1, 2].map((k) => ends.map((e) => e[k])));
        this.chosen = pair(false);
        this.driftRule = this.drift.layer("rule", { color: "text", width: 1, opacity: 0.5, dash: "2 3" });
        this.driftDots = [this.drift.layer("points", { color: "purple", size: 4 }),
          this.drift.layer("points", { color: "green", size: 3.5, marker: "square" })];
      }

      const ts = logspace(lo, hi, 160), curve = ts.map((t) => this.loss(t));
      const top = Math.max(this.loss(0), span(runs.map((r) => r.loss))[1]);
      const bottom = Math.max(span([curve, ...runs.map((r) => r.loss)], 0)[0], 1e-6 * top);
      this.losses = this.panel({ label: spec.labels.loss, height: 202, onPick: pick, x: time,
        y: { domain: [bottom / 1.4, top * 1.8], log: true, title: "training loss  Σ_{i} (*f*_{t} − *y*)²" } });
      for (const run of runs)
        this.losses.layer("line", { color: "orange", width: 1, opacity: 0.6, dash: "4 3" }).set(run.times, run.loss);
      this.losses.layer("line", { color: "blue", width: 3 }).set(ts, curve);
      this.networkLoss = this.losses.layer("line", { color: "orange", width: 2.25, dash: "7 4" });
      this.lossRule = this.losses.layer("rule", { color: "text", width: 1, opacity: 0.5, dash: "2 3" });
      this.lossDots = [this.losses.layer("points", { color: "blue", size: 4.5 }),
        this.losses.layer("points", { color: "orange", size: 4, marker: "square" })];

      this.time = this.timeline({ min: lo, max: hi, value: spec.start });
      this.row();
      if (runs.length)
        this.width = this.select({ label: "width *m*", options: runs.map((r) => String(r.width)),
          index: spec.run, onInput: () => this.choose() });
      this.showKernel = this.checkbox({ label: "kernel" });
      if (runs.length) this.showNetwork = this.checkbox({ label: "network" });
      this.choose();
    }

    // Curves that depend on the chosen width but not on the time.
    choose() {
      const run = (this.run = this.spec.runs[this.width?.value]);
      this.network.show(Boolean(run));
      if (!run) return;
      this.chosen[0].set(run.times, run.kernel_drift);
      this.chosen[1].set(run.times, run.weight_drift);
      this.networkLoss.set(run.times, run.loss);
    }

    // sum_i (1 - exp(-eta lambda_i t)) mode_i, eqs 14-15: the learned part of every eigenmode.
    kernel(t, points, modes) {
      const { rates } = this.spec, out = new Float64Array(points);
      rates.forEach((rate, i) => {
        const learned = rate > 0 ? -Math.expm1(-rate * t) : 0, mode = modes[i];
        for (let j = 0; j < points; j++) out[j] += learned * mode[j];
      });
      return out;
    }
    // Eq. 21.
    loss(t) {
      const { rates, coefficients: c } = this.spec;
      return rates.reduce((sum, rate, i) => sum + Math.exp(-2 * rate * t) * c[i] ** 2, 0);
    }

    draw() {
      const { spec, run } = this, t = this.time.value, loss = this.loss(t);
      const numbers = { t, loss };
      numbers.fx_grid = this.kernel(t, spec.x_grid.length, spec.grid_modes);
      numbers.fx_train = this.kernel(t, spec.x_train.length, spec.train_modes);
      const kernel = this.showKernel.value, network = Boolean(run) && this.showNetwork.value;
      this.flow.set(spec.x_grid, numbers.fx_grid);
      this.flow.show(kernel);
      this.final.show(kernel);
      this.lossRule.set([t]);
      this.lossDots[0].set([t], [loss]);
      this.network.show(network);
      if (run) {
        const [i, w] = locate(run.times, t), k = Math.min(i + 1, run.times.length - 1);
        const at = (values, blend = mixLog) => blend(values[i], values[k], w);
        Object.assign(numbers, { width: run.width, network_loss: at(run.loss),
          kernel_drift: at(run.kernel_drift), weight_drift: at(run.weight_drift),
          network_grid: range(spec.x_grid.length, (j) => mix(run.fx_grid[i][j], run.fx_grid[k][j], w)) });
        this.network.set(spec.x_grid, numbers.network_grid);
        this.driftRule.set([t]);
        this.driftDots[0].set([t], [numbers.kernel_drift]);
        this.driftDots[1].set([t], [numbers.weight_drift]);
        this.lossDots[1].set([t], [numbers.network_loss]);
      }
      const told = run ? `, network ${format(numbers.network_loss)}` : "";
      this.time.input.setAttribute("aria-valuetext", `t = ${format(t)}, kernel loss ${format(loss)}${told}`);
      return numbers;
    }
  }
  define("ntk-linearized-dynamics", LinearizedDynamics);
})();
