// The features of a kernel predictor (eq 36): a cloud, the chosen one as an image, and its absence.
(() => {
  "use strict";
  const { CourseFigure, define, format, html, plain, range } = globalThis.NtkCourse;
  const LOW = [43, 123, 208], MIDDLE = [244, 244, 244], HIGH = [213, 94, 0];

  class NtkFeatures extends CourseFigure {
    build(spec) {
      const { usefulness: rho, robust: gamma, index } = spec, m = index.length, [height, width] = spec.shape;
      this.panelBox.classList.add("split");
      const ends = (values, pad) => [Math.min(...values) - pad, Math.max(...values) + pad];
      const cloud = (this.cloud = this.panel({ label: spec.labels.cloud, height: 430, aspect: 1,
        x: { domain: ends([...rho, 0], 0.06), title: "usefulness *ρ*" },
        y: { domain: ends([...gamma, 0.2], 0.25), title: "usefulness under attack *γ*" } }));
      const [a, b] = cloud.x.domain;
      cloud.layer("line", { width: 1.2, opacity: 0.7, dash: "6 4", name: "*γ* = 0" }).set([a, b], [0, 0]);
      const where = (test) => range(m, (i) => i).filter(test), pick = (v, rows) => rows.map((i) => v[i]);
      for (const [rows, options] of [
        [where((i) => gamma[i] <= 0), { color: "blue", size: 3, opacity: 0.75, name: "not robust" }],
        [where((i) => gamma[i] > 0), { color: "green", marker: "square", size: 5, name: "robustly useful" }],
      ]) cloud.layer("points", options).set(pick(rho, rows), pick(gamma, rows));
      this.dot = cloud.layer("points", { color: "orange", size: 7, filled: false, width: 2.5, name: "chosen" });
      cloud.box.classList.add("picks");
      cloud.root.style.cursor = "pointer";
      cloud.root.addEventListener("pointerdown", (e) => this.time.set(this.nearest(e.clientX, e.clientY)));

      this.canvas = html("canvas", { role: "img", "aria-label": plain(spec.labels.image), width, height,
        style: "width: min(100%, 11rem); aspect-ratio: 1; image-rendering: pixelated; display: block" });
      this.head = html("div", { class: "legend" });
      const key = html("div", { class: "legend" }, "orange: more ink raises the feature; blue: lowers it");
      this.panelBox.append(html("div", { class: "panel" }, this.head, this.canvas, key));
      const view = this.panel({ label: spec.labels.accuracy, height: 210, aspect: 1.6,
        x: { log: true, domain: [0.8, index[m - 1] * 1.25], title: "index of the feature taken away" },
        y: { domain: [0, 1.05], title: "accuracy without it" } });
      view.layer("line", { color: "green", dash: "8 4", width: 2, name: "standard" }).set(index, spec.clean_without);
      view.layer("line", { color: "purple", width: 2, name: "robust" }).set(index, spec.robust_without);
      this.rule = view.layer("rule", { width: 1, opacity: 0.6, dash: "2 3" });
      this.marks = view.layer("points", { color: "orange", size: 4.5 });
      this.time = this.timeline({ label: "feature", min: 0, max: m - 1, step: 1, log: false, seconds: 0.25 * m,
        text: (i) => `# ${index[Math.round(i)]}` });
      this.say = html("div", { class: "legend" });
      this.controlBox.after(this.say);
    }
    // The feature whose point is nearest to a place on the screen.
    nearest(clientX, clientY) {
      const { cloud, spec } = this, box = cloud.plot.getBoundingClientRect();
      const off = Array.from(spec.index, (_, i) =>
        Math.hypot(cloud.px(spec.usefulness[i]) - clientX + box.left, cloud.py(spec.robust[i]) - clientY + box.top));
      return off.indexOf(Math.min(...off));
    }
    paint(image) {
      const context = this.canvas.getContext("2d"), data = context.createImageData(this.canvas.width, this.canvas.height);
      image.forEach((v, k) => {
        const end = v < 0 ? LOW : HIGH, s = Math.min(Math.abs(v), 1);
        data.data.set([...MIDDLE.map((c, j) => c + s * (end[j] - c)), 255], 4 * k);
      });
      context.putImageData(data, 0, 0);
    }
    draw() {
      const { spec } = this, i = Math.round(this.time.value), index = spec.index[i], image = spec.images[i];
      const [rho, gamma] = [spec.usefulness[i], spec.robust[i]], [clean, robust] = [spec.clean_without[i], spec.robust_without[i]];
      this.dot.set([rho], [gamma]);
      this.paint(image);
      this.rule.set([index]);
      this.marks.set([index, index], [clean, robust]);
      this.head.textContent = `Feature # ${index}: ρ = ${format(rho, 2)}, γ = ${format(gamma, 2)}`;
      const percent = (v) => `${(100 * v).toFixed(1)} %`;
      this.say.textContent = `All features: ${percent(spec.full[0])} right, ${percent(spec.full[1])} under attack. `
        + `Without # ${index}: ${percent(clean)} and ${percent(robust)}.`;
      this.time.input.setAttribute("aria-valuetext", `feature ${index}, usefulness ${format(rho, 2)}, under attack `
        + `${format(gamma, 2)}; without it ${percent(clean)} right, ${percent(robust)} under attack`);
      return { i, index, usefulness: rho, robust: gamma, image, clean_without: clean, robust_without: robust };
    }
  }
  define("ntk-ntk-features", NtkFeatures);
})();
