// An image, the pixels that are known of it, and what a kernel fills in (matrix completion), as the
// length scale of the prior grows.
(() => {
  "use strict";
  const { CourseFigure, define, format, html } = globalThis.NtkCourse;

  const STYLES = [{ color: "blue", dash: "" }, { color: "orange", dash: "7 3" }];
  const UNKNOWN = [43, 93, 150];

  class ImageCompletion extends CourseFigure {
    build(spec) {
      const [height, width] = spec.shape, { lengths } = spec;
      const box = html("div", { style: "display: grid; gap: 0.4rem 0.8rem; grid-template-columns: repeat(3, minmax(0, 1fr)); grid-column: 1 / -1" });
      const picture = (title) => {
        const canvas = html("canvas", { role: "img", "aria-label": `${spec.label}: ${title}`, width, height,
          style: "width: 100%; image-rendering: pixelated; display: block" });
        const text = html("div", { class: "legend" }, title);
        box.append(html("div", { class: "panel" }, text, canvas));
        return { canvas, text };
      };
      const percent = Math.round((100 * spec.observed.reduce((a, b) => a + b)) / spec.observed.length);
      picture("the image").canvas.getContext("2d").putImageData(this.grey(spec.image), 0, 0);
      picture(`known: ${percent} %`).canvas.getContext("2d").putImageData(this.grey(spec.image, spec.observed), 0, 0);
      this.filled = picture("filled in");
      this.panelBox.append(box);

      const all = spec.scores.flatMap((s) => Array.from(s.values)), low = Math.max(-0.2, Math.min(...all));
      this.chart = this.panel({ label: `${spec.label}: quality on the hidden pixels against the length scale`, height: 220,
        onPick: (v) => this.time.set(this.nearest(v)), y: { domain: [low - 0.05, 1.02], title: "*R*² on hidden pixels" },
        x: { domain: [lengths[0], lengths.at(-1)], log: true, title: "length scale of the prior, in pixels" } });
      this.chart.box.style.gridColumn = "1 / -1";
      spec.scores.forEach(({ name, values }, k) => this.chart.layer("line", { ...STYLES[k], name }).set(lengths, values));
      this.rule = this.chart.layer("rule", { color: "text", width: 1, opacity: 0.5, dash: "2 3" });
      this.dot = this.chart.layer("points", { color: "blue", size: 5 });
      this.time = this.timeline({ label: "length", name: "length scale", min: 0, max: lengths.length - 1, step: 1, log: false,
        seconds: 8, text: (i) => `${format(lengths[Math.round(i)], 2)} px` });
    }
    nearest(length) {
      const off = Array.from(this.spec.lengths, (v) => Math.abs(Math.log(v / length)));
      return off.indexOf(Math.min(...off));
    }
    // Bytes as an image; blue where a pixel is not known.
    grey(bytes, known = null) {
      const [height, width] = this.spec.shape, data = new ImageData(width, height);
      bytes.forEach((v, i) => data.data.set([...(known && !known[i] ? UNKNOWN : [v, v, v]), 255], 4 * i));
      return data;
    }
    // 1 - the squared error on the hidden pixels, relative to that of the mean of the known ones.
    quality(filled) {
      const { image, observed } = this.spec, known = image.filter((_, i) => observed[i]);
      const mean = known.reduce((a, b) => a + b) / known.length;
      let error = 0, spread = 0;
      image.forEach((v, i) => { if (!observed[i]) { error += (filled[i] - v) ** 2; spread += (v - mean) ** 2; } });
      return 1 - error / spread;
    }
    draw() {
      const { spec } = this, i = Math.round(this.time.value), length = spec.lengths[i], filled = spec.filled[i];
      this.filled.canvas.getContext("2d").putImageData(this.grey(filled), 0, 0);
      const score = spec.scores[0].values[i], quality = this.quality(filled);
      this.filled.text.textContent = `R² = ${quality.toFixed(3)}`;
      this.rule.set([length]);
      this.dot.set([length], [score]);
      this.time.input.setAttribute("aria-valuetext", `length scale ${format(length, 2)} pixels: R² ${quality.toFixed(3)}`);
      return { index: i, length, score, quality, filled };
    }
  }
  define("ntk-image-completion", ImageCompletion);
})();
