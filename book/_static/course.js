// What the theme would do from attributes, which the pages' content security policy forbids.
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll(".btn-fullscreen-button")) {
    button.addEventListener("click", () => window.toggleFullScreen());
  }
});
