// A deck: mathematics is typeset, each section is divided into slides by measured height, and
// reveal.js takes over. Nothing is fetched but the files beside this one.
(() => {
  "use strict";
  const WIDTH = 1280, HEIGHT = 720; // px
  const LARGE = 28, SMALLER = 25, SMALLEST = 22; // px of text: usual, to fit one more sentence, at least
  const LARGEST = 1.4, LEAST = 300; // zoom of a moving figure, px of a picture's height
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
  // An empty slide with the heading of `like`, before or after it.
  const fresh = (like, where) => {
    const slide = like.cloneNode();
    slide.removeAttribute("style");
    slide.append(...all(":scope > :not(.unit)", like).map((node) => node.cloneNode(true)));
    like[where](slide);
    return slide;
  };
  // A formula wider than the slide gets smaller letters.
  const narrow = (slide) => {
    for (const box of all("div.math", slide)) {
      const math = box.querySelector("mjx-math"), room = box.clientWidth - (box.querySelector(".eqno") ? 150 : 0);
      const width = math.getBoundingClientRect().width;
      if (width > room) box.style.fontSize = `${(room / width) * parseFloat(getComputedStyle(box).fontSize)}px`;
    }
  };
  // A moving figure takes the width at which its letters are largest.
  const enlarge = (slide, figure) => {
    for (let zoom = LARGEST; zoom > 0.6; zoom -= 0.05)
      for (const width of [820, 720, 640]) {
        Object.assign(figure.style, { zoom, width: `${width}px` });
        figure.layout();
        if (overflow(slide) <= 0) return;
      }
  };
  // Room for the explanations that a quiz will give.
  const explain = (quiz, given) => {
    const [{ options }] = JSON.parse(quiz.dataset.spec).questions;
    all(".why", quiz).forEach((why, i) => { why.textContent = given ? `Right. ${options[i].why}` : ""; });
  };
  const shrink = (slide) => {
    const quiz = slide.querySelector(".course-quiz");
    if (quiz) explain(quiz, true);
    const picture = slide.querySelector(".picture img"), figure = slide.querySelector(".course-figure");
    if (figure) enlarge(slide, figure);
    if (picture) picture.style.maxHeight = `${Math.max(picture.clientHeight - Math.max(overflow(slide), 0), LEAST)}px`;
    for (let size = LARGE; size >= SMALLEST && overflow(slide) > 0; size--) slide.style.fontSize = `${size}px`;
    if (quiz) explain(quiz, false);
  };
  // The last piece of a slide that is too long moves to the next one; of a list or a table, the last row.
  const split = (slide) => {
    slide.removeAttribute("style");
    const next = fresh(slide, "after"), unit = slide.querySelector(".unit:last-child");
    const target = next.appendChild(unit.cloneNode());
    target.append(...all(":scope > .notes", unit).map((node) => node.cloneNode(true)));
    while (overflow(slide) > 0) {
      const pieces = all(":scope > :not(.notes)", unit), last = pieces.at(-1);
      const rows = last.matches("ul, ol") ? last : last.querySelector("tbody");
      if (rows?.children.length > 1) {
        if (!target.matches(":has(li, tr)")) {
          target.prepend(last.cloneNode(true));
          (target.querySelector("ul, ol, tbody")).replaceChildren();
        }
        target.querySelector("ul, ol, tbody").prepend(rows.lastElementChild);
      } else if (pieces.length > 1) target.prepend(last);
      else break;
    }
    if (!target.querySelector(":scope > :not(.notes)")) return next.remove();
    shrink(next);
    if (overflow(next) > 0) split(next);
  };
  const fits = (slide) => {
    for (let size = LARGE; size >= SMALLER && overflow(slide) > 0; size--) slide.style.fontSize = `${size}px`;
    if (overflow(slide) <= 0) return true;
    slide.style.fontSize = "";
    return false;
  };
  const divide = (source) => {
    let slide = null;
    const slides = [], begin = () => slides.push((slide = fresh(source, "before")));
    for (const unit of all(":scope > .unit", source)) {
      const fills = unit.matches(".alone, .figure");
      // A picture leaves room for a sentence or two that came before it.
      const room = unit.querySelector(".picture") && slide && all(".unit", slide).length === 1
        && all(".unit > :not(.notes)", slide).every((piece, i) => i === 0 && piece.tagName === "P" && piece.clientHeight < 90);
      if (!slide || slide.querySelector(".alone, .figure") || (fills && !room)) begin();
      slide.append(unit);
      narrow(unit);
      if (!fills && all(".unit", slide).length > 1 && !fits(slide)) {
        begin();
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
    if (document.readyState !== "complete") await new Promise((done) => addEventListener("load", done));
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
    options: { enableMenu: false },
  };
})();
