// Passkeys: a form with data-webauthn="get" or "create" and data-options has its
// hidden field "code" filled with what the browser answers, and is sent.
"use strict";

for (const form of document.querySelectorAll("form[data-webauthn]")) {
  const start = form.querySelector("[data-start]");
  const show = (part, yes) => {
    const element = form.querySelector(`[data-${part}]`);
    if (element) element.hidden = !yes;
  };
  const known = window.PublicKeyCredential
    && PublicKeyCredential.parseRequestOptionsFromJSON
    && PublicKeyCredential.parseCreationOptionsFromJSON;
  if (!known) {
    show("unsupported", true);
    if (start) start.hidden = true;
    continue;
  }
  const ask = async () => {
    show("failed", false);
    if (start) start.disabled = true;
    try {
      const options = JSON.parse(form.dataset.options);
      const credential = form.dataset.webauthn === "create"
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      form.elements.code.value = JSON.stringify(credential);
      form.submit();
    } catch {
      show("failed", true);
      if (start) start.disabled = false;
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
}
