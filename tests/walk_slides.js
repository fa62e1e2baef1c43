// Walks through a deck and says what is wrong: every slide lies inside the frame of 1280 by 720,
// is readable, and shows something beside its heading, also when all options of a quiz are pressed.
async () => {
  const out = [];
  for (let i = 0; i < Reveal.getTotalSlides(); i++) {
    Reveal.slide(i);
    const slide = Reveal.getCurrentSlide();
    const complain = (what, e) => out.push(`slide ${i + 1}: ${what}: ${e.outerHTML.slice(0, 90)}`);
    for (const button of slide.querySelectorAll(".course-quiz button")) button.click();
    await new Promise(requestAnimationFrame);
    const skip = ".notes *, mjx-math *, mjx-assistive-mml, mjx-assistive-mml *, sub, sup, .sub, svg svg, svg svg *";
    const parts = [...slide.querySelectorAll("*")].filter((e) => e.getClientRects().length && !e.matches(skip));
    for (const e of parts) {
      const box = e.getBoundingClientRect(), style = getComputedStyle(e);
      if (box.width && (box.left < -1 || box.top < -1 || box.right > 1281 || box.bottom > 712)) complain("cut off", e);
      const scrolls = e.clientWidth && !e.closest("svg") && style.overflowX !== "visible";
      if (scrolls && e.scrollWidth > e.clientWidth + 2) complain("scrolls", e);
      const text = [...e.childNodes].some((c) => c.nodeType === Node.TEXT_NODE && c.data.trim());
      const figure = e.closest(".course-figure");
      const size = parseFloat(style.fontSize) * (figure ? parseFloat(figure.style.zoom) || 1 : 1);
      if ((text || e.matches("mjx-container")) && size < (figure ? 13 : 18)) complain(`small (${size})`, e);
    }
    const content = [...slide.querySelectorAll(".unit > :not(.notes)")];
    if (!content.some((e) => e.innerText.trim() || e.matches(":has(img, svg)"))) complain("empty", slide);
    if (!slide.querySelector("h1, h2")?.innerText.trim()) complain("no heading", slide);
    if (slide.querySelector("mjx-merror, merror")) complain("mathematics", slide);
  }
  return out;
}
