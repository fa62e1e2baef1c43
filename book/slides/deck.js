// A deck: mathematics is typeset, each section is divided into slides by measured height, and
// reveal.js takes over. Nothing is fetched but the files beside this one.
(() => {
  "use strict";
  const WIDTH = 1280, HEIGHT = 720, INNER = 1152; // px; INNER is what the padding leaves
  const LARGEST = 1.6, SMALLEST = 20; // zoom of a moving figure, px of shrunken text
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => { document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; };
  dark.addEventListener("change", paint);
  paint();

  // ---- notes: MathML, which the speaker's window shows without help ------------------------------
  const writeNotes = () => {
    for (const node of all(".notes .math")) {
      const display = node.tagName === "DIV";
      const tex = node.textContent.replace(/^[^\\]*\\[([]|\\[)\]]\s*$/g, "");
      node.innerHTML = MathJax.tex2mml(tex, { display });
    }
  };

  // ---- slides ------------------------------------------------------------------------------------
  const overflow = (slide) => slide.getBoundingClientRect().height - HEIGHT;
  const fresh = (source) => {
    const slide = source.cloneNode();
    slide.removeAttribute("id");
    slide.append(...all(":scope > :not(.unit)", source).map((node) => node.cloneNode(true)));
    source.before(slide);
    return slide;
  };
  // A formula wider than the slide gets smaller letters.
  const narrow = (slide) => {
    for (const box of all("div.math", slide)) {
      const math = box.querySelector("mjx-math"), room = box.clientWidth - (box.querySelector(".eqno") ? 110 : 0);
      const width = math.getBoundingClientRect().width;
      if (width > room) box.style.fontSize = `${(room / width) * parseFloat(getComputedStyle(box).fontSize)}px`;
    }
  };
  const shrink = (slide) => {
    const picture = slide.querySelector(".picture img");
    const figure = slide.querySelector(".course-figure");
    if (picture) picture.style.maxHeight = `${Math.max(picture.clientHeight - Math.max(overflow(slide), 0), 150)}px`;
    if (figure)
      for (let zoom = LARGEST; zoom >= 0.7; zoom -= 0.05) {
        figure.style.zoom = zoom;
        figure.layout();
        if (overflow(slide) <= 0) break;
      }
    for (let size = 28; size > SMALLEST && overflow(slide) > 0; size--) slide.style.fontSize = `${size - 1}px`;
  };
  // The last piece of a slide that is too long moves to the next one.
  const split = (slide) => {
    const next = fresh(slide);
    slide.after(next);
    while (overflow(slide) > 0) {
      const unit = slide.lastElementChild;
      const pieces = all(":scope > :not(.notes)", unit);
      let last = pieces.at(-1);
      if (last.matches("ul, ol") && last.children.length > 1) last = last.lastElementChild;
      else if (pieces.length < 2) break;
      let target = next.querySelector(":scope > .unit");
      if (!target) {
        target = unit.cloneNode();
        target.append(...all(":scope > .notes", unit).map((node) => node.cloneNode(true)));
        next.append(target);
      }
      if (last.tagName === "LI") {
        if (target.firstElementChild?.tagName !== last.parentElement.tagName) target.prepend(last.parentElement.cloneNode());
        target.firstElementChild.prepend(last);
      } else target.prepend(last);
    }
    if (next.querySelector(".unit")) shrink(next);
    else next.remove();
  };
  const divide = (source) => {
    let slide = null;
    const slides = [];
    for (const unit of all(":scope > .unit", source)) {
      const alone = unit.matches(".alone") || slide?.querySelector(".alone");
      if (!slide || alone) slides.push((slide = fresh(source)));
      slide.append(unit);
      narrow(slide);
      if (slide.querySelectorAll(".unit").length > 1 && overflow(slide) > 0) {
        slides.push((slide = fresh(source)));
        slide.append(unit);
      }
    }
    source.remove();
    for (const each of slides) {
      shrink(each);
      if (overflow(each) > 0) split(each);
    }
  };

  // ---- figures in a deck ---------------------------------------------------------------------------
  // Figures take a pixel for a pixel; a deck is scaled. The pointer is told where it is on the figure.
  const rescale = (event) => {
    const root = event.target.closest?.(".course-figure svg[role=img]");
    if (!root) return;
    const box = root.getBoundingClientRect(), scale = box.width / root.clientWidth;
    const x = box.left + (event.clientX - box.left) / scale, y = box.top + (event.clientY - box.top) / scale;
    Object.defineProperties(event, { clientX: { value: x }, clientY: { value: y } });
  };
  for (const type of ["pointerdown", "pointermove"]) addEventListener(type, rescale, true);
  // In a figure or a quiz keys belong to what is focused; Escape gives them back.
  const mine = (event) => {
    const inside = event.target.closest?.(".course-figure, .course-quiz");
    if (!inside) return true;
    if (event.key === "Escape") event.target.blur();
    return event.target.matches("button") && ![" ", "Enter", "Escape"].includes(event.key);
  };

  const start = async () => {
    MathJax.startup.defaultReady();
    await MathJax.startup.promise;
    writeNotes();
    await MathJax.typesetPromise();
    await Promise.all(all("img").map((image) => image.decode().catch(() => null)));
    await document.fonts.ready;
    document.body.classList.add("measuring");
    all(".slides > section").forEach(divide);
    document.body.classList.remove("measuring");
    await Reveal.initialize({
      width: WIDTH, height: HEIGHT, margin: 0, center: false, hash: true, transition: "none", slideNumber: "c/t",
      backgroundTransition: "none", keyboardCondition: mine, plugins: [RevealNotes],
    });
    Reveal.on("slidechanged", ({ previousSlide }) => all(".course-figure", previousSlide).forEach((f) => f.pause?.()));
    document.documentElement.dataset.ready = "true";
  };
  window.MathJax = {
    startup: { typeset: false, ready: start },
    options: { enableMenu: false, ignoreHtmlClass: "notes", processHtmlClass: "math" },
  };
})();
