// The page's few behaviours: htmx's token, fragments that have nothing to say, dialogs, files, copying, filters, double clicks.
(() => {
  "use strict";

  // htmx carries Django's CSRF token as a header.
  document.addEventListener("htmx:configRequest", (event) => {
    const token = document.querySelector('meta[name="csrf-token"]');
    if (token) event.detail.headers["X-CSRFToken"] = token.content;
  });

  // A fragment that says "nothing for you" (204) gives its place back.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const fragment = event.detail.elt.closest(".fragment");
    if (event.detail.xhr.status === 204 && fragment) fragment.remove();
  });

  // A form that a refusal (422) sends back with its errors takes its own place again.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status === 422 && event.detail.elt.closest("[data-shows-refusals]")) event.detail.shouldSwap = true;
  });

  // A file that is too large is not even sent. (The portal refuses it too.)
  document.addEventListener("change", (event) => {
    const input = event.target;
    if (input.type !== "file" || !input.dataset.limitBytes) return;
    const tooLarge = [...input.files].some((file) => file.size > Number(input.dataset.limitBytes));
    const message = input.parentElement.querySelector("[data-too-large]");
    if (message) message.hidden = !tooLarge;
    input.classList.toggle("is-invalid", tooLarge);
    if (tooLarge) {
      event.stopPropagation();
      input.value = "";
    }
  }, true);

  // How much of an upload has gone out.
  document.addEventListener("htmx:xhr:progress", (event) => {
    const bar = event.target.querySelector("progress");
    if (!bar || !event.detail.lengthComputable) return;
    bar.hidden = false;
    bar.value = 100 * event.detail.loaded / event.detail.total;
  });

  // A live page says so when it can no longer reach the portal, and what it shows may be old.
  const offline = (away) => document.documentElement.classList.toggle("is-offline", away);
  document.addEventListener("htmx:sendError", () => offline(true));
  document.addEventListener("htmx:responseError", (event) => offline(event.detail.xhr.status >= 500));
  document.addEventListener("htmx:afterOnLoad", () => offline(false));

  document.addEventListener("click", (event) => {
    // <button data-dialog="id"> opens a <dialog>; <button data-close> inside closes it.
    const opener = event.target.closest("[data-dialog]");
    if (opener) {
      const dialog = document.getElementById(opener.dataset.dialog);
      if (dialog) {
        event.preventDefault();
        dialog.showModal();
      }
      return;
    }
    const closer = event.target.closest("[data-close]");
    if (closer) closer.closest("dialog").close();
    // A click beside a dialog closes it, as Escape does.
    if (event.target.matches("dialog.confirm")) event.target.close();
    // <button data-copy="text"> copies.
    const copier = event.target.closest("[data-copy]");
    if (copier) navigator.clipboard.writeText(copier.dataset.copy).then(() => {
      copier.textContent = copier.dataset.copied || copier.textContent;
    });
  });

  // <select data-submit> sends its form when changed (filters).
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });

  // The language switch comes back to the address as it is by now: htmx may have changed it.
  document.addEventListener("submit", (event) => {
    const next = event.target.querySelector('.lang') && event.target.elements.next;
    if (next) next.value = location.pathname + location.search;
  });

  // A form is sent once: a second click waits for the first.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    for (const button of form.querySelectorAll('button[type="submit"], button:not([type])')) {
      setTimeout(() => { button.disabled = true; });
      setTimeout(() => { button.disabled = false; }, 8000);
    }
  });
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll('button[type="submit"]:disabled')) button.disabled = false;
  });
})();
