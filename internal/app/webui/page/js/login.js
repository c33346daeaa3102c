// The dialog for the API key of a server that wants one.
import { hasKey, keyIsStored, setKey } from "./api.js";
import { h } from "./dom.js";
import { modal, toast } from "./say.js";

let open = false;

// login asks for the key and calls then once there is one.
export function login(why = "", then = null) {
  if (open) return;
  open = true;
  const input = h("input", { type: "password", name: "key", autocomplete: "off", spellcheck: "false", maxlength: 500, placeholder: hasKey() ? "a key is set" : "" });
  const remember = h("input", { type: "checkbox", checked: keyIsStored() });
  modal("API key", (close) => h("form", {
    onsubmit: (e) => {
      e.preventDefault();
      const value = input.value.trim();
      if (!setKey(value, remember.checked)) toast("This browser does not store the key; it holds until the tab is closed", { error: true });
      close();
      then?.();
    },
  },
  h("p", null, why || "Only servers that were started with keys want one. It is sent to this server alone."),
  h("label.field", null, "Key", input),
  h("label.check", null, remember, "Remember it in this browser (anyone who uses the browser can read it)"),
  h("div.dialog-buttons", null,
    hasKey() && h("button.button", { type: "button", onclick: () => { setKey("", false); close(); toast("The key is forgotten"); } }, "Forget the key"),
    h("button.button.primary", { type: "submit" }, "Use key"))), { onclose: () => { open = false; } });
  input.focus();
}
