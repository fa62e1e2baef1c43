// Images as KIP learns them (eq. 27): the start above, the chosen step below, and their accuracy.
(() => {
  "use strict";
  const { CourseFigure, define, html, plain, range } = globalThis.NtkCourse;

  class KipImages extends CourseFigure {
    build(spec) {
      const [count, height, width] = spec.shape;
      Object.assign(this, { count, height, width, last: spec.steps.at(-1) });
      this.panelBox.classList.add("pair");
      // A canvas of real pixels, one apart; the two rows keep their own grey scale.
      this.canvas = html("canvas", { role: "img", "aria-label": plain(spec.labels.images), width: count * (width + 1) - 1,
        height: 2 * height + 3, style: "width: 100%; image-rendering: pixelated; display: block" });
      this.above = html("div", { class: "legend" }, "the start");
      this.below = html("div", { class: "legend" });
      this.panelBox.append(html("div", { class: "panel", style: "grid-column: 1 / -1" }, this.above, this.canvas, this.below));
      this.pixels = range(spec.images.length, (s) => this.grey(spec.images[s]));

      const best = Math.max(...spec.accuracy, spec.reference ?? 0), worst = Math.min(...spec.accuracy);
      this.chart = this.panel({ label: spec.labels.accuracy, height: 230, onPick: (t) => this.time.set(this.index(t)),
        x: { domain: [1, this.last + 1], log: true, title: "step + 1" },
        y: { domain: [Math.max(0, worst - 0.05), Math.min(1.02, best + 0.05)], title: spec.measure } });
      this.chart.box.style.gridColumn = "1 / -1";
      if (spec.reference !== null)
        this.chart.layer("line", { color: "text", width: 1.25, dash: "6 4", opacity: 0.7, name: "all training images" })
          .set([1, this.last + 1], [spec.reference, spec.reference]);
      this.curve = this.chart.layer("line", { color: "blue", width: 2, name: "the images on display" });
      this.curve.set(Array.from(spec.steps, (s) => s + 1), spec.accuracy);
      this.saved = this.chart.layer("points", { color: "blue", size: 2.5 });
      this.saved.set(Array.from(spec.steps, (s) => s + 1), spec.accuracy);
      this.rule = this.chart.layer("rule", { color: "text", width: 1, opacity: 0.5, dash: "2 3" });
      this.dot = this.chart.layer("points", { color: "blue", size: 5 });
      this.time = this.timeline({ label: "step", min: 0, max: spec.steps.length - 1, step: 1, log: false, seconds: 8,
        text: (i) => `step ${spec.steps[Math.round(i)]}` });
    }
    // The saved step that is nearest to t - 1 on the logarithmic axis.
    index(t) {
      const off = Array.from(this.spec.steps, (s) => Math.abs(Math.log((s + 1) / t)));
      return off.indexOf(Math.min(...off));
    }
    // One row of images as bytes, dark where the value is high, transparent between them.
    grey(flat) {
      const { count, height, width } = this, across = count * (width + 1) - 1;
      const data = new ImageData(across, height);
      const lo = flat.reduce((a, b) => Math.min(a, b)), hi = flat.reduce((a, b) => Math.max(a, b));
      flat.forEach((v, k) => {
        const i = Math.floor(k / (height * width)), r = Math.floor((k % (height * width)) / width), c = k % width;
        const at = 4 * (r * across + i * (width + 1) + c), shade = Math.round(250 - (240 * (v - lo)) / (hi - lo || 1));
        data.data.set([shade, shade, shade, 255], at);
      });
      return data;
    }
    draw() {
      const { spec } = this, i = Math.round(this.time.value), step = spec.steps[i];
      const context = this.canvas.getContext("2d");
      context.putImageData(this.pixels[0], 0, 0);
      context.putImageData(this.pixels[i], 0, this.height + 3);
      const words = `step ${step}: ${spec.measure} ${(100 * spec.accuracy[i]).toFixed(1)} %`;
      this.below.textContent = words;
      this.rule.set([step + 1]);
      this.dot.set([step + 1], [spec.accuracy[i]]);
      this.time.input.setAttribute("aria-valuetext", words);
      return { step, index: i, accuracy: spec.accuracy[i], images: spec.images[i] };
    }
  }
  define("ntk-kip-images", KipImages);
})();
