// A job's page: its log stays at the end, and a file that was brought from the cluster is saved.
(() => {
  "use strict";

  const shownLog = () => document.querySelector("#job-log pre");
  const NEAR_END = 8;
  let readAt = null; // where somebody reads further up; null: at the end

  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id !== "job-log") return;
    const log = shownLog();
    const isAtEnd = !log || log.scrollTop + log.clientHeight >= log.scrollHeight - NEAR_END;
    readAt = isAtEnd ? null : log.scrollTop;
  });

  // The list of files is not exchanged under a file that is being fetched; the next look brings what changed.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const list = event.detail.target;
    if (list.id === "job-files" && list.querySelector("[data-fetching], .htmx-request")) event.detail.shouldSwap = false;
  });

  document.addEventListener("htmx:load", (event) => {
    const part = event.detail.elt;
    if (part.id === "job-log") {
      const log = shownLog();
      if (log) log.scrollTop = readAt === null ? log.scrollHeight : readAt;
    }
    if (part.matches("a[data-save]")) part.click();
  });
})();
