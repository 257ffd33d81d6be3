// The script of the job form: takes over what the server wrote into its block, unless the person has typed meanwhile.
(() => {
  "use strict";

  const form = document.getElementById("job-form");
  const script = form && form.elements.script;
  if (!script) return;
  let sent = "";

  // Other parts of the form ask for themselves and send no script.
  form.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.elt === form) sent = script.value; });

  form.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.elt.id !== "job-preview") return;
    const written = document.getElementById("script-written");
    // What was typed after the question was asked is newer than its answer; that typing asks again.
    if (!written || script.value !== sent || script.value === written.value) return;
    // The cursor keeps its line: what lies above it, or else below it, is what it was.
    const { selectionStart: begin, selectionEnd: end, scrollTop, scrollLeft } = script;
    const old = script.value, text = written.value;
    const placed = (at) => {
      if (text.startsWith(old.slice(0, at))) return at;
      if (text.endsWith(old.slice(at))) return text.length - (old.length - at);
      return Math.min(at, text.length);
    };
    script.value = text;
    if (document.activeElement === script) script.setSelectionRange(placed(begin), placed(end));
    script.scrollTop = scrollTop;
    script.scrollLeft = scrollLeft;
  });
})();
