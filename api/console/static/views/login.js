// The page before somebody is signed in.
import { Field } from "../parts.js";
import { html, Problem, useAction } from "../ui.js";
import { t } from "../text.js";
import { useEffect, useRef } from "../vendor/hooks.js";

/** @param {{onLogin: (session: import("../session.js").Session) => Promise<void>, error: unknown}} props */
export default function Login({ onLogin, error }) {
  const action = useAction();
  const first = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => first.current?.focus(), []);
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    /** @param {string} name */
    const text = (name) => String(form.get(name) ?? "").trim();
    const session = { secretId: text("id"), secretKey: text("key") };
    const token = text("token");
    action.run(() => onLogin(token ? { ...session, token } : session));
  };
  return html`<main class="login">
    <form class="card" onSubmit=${submit}>
      <h1>Stemline</h1>
      <p class="soft">${t("login.keys")}</p>
      <${Field} label="SecretId"><input name="id" autocomplete="username" required spellcheck="false" ref=${first} /><//>
      <${Field} label="SecretKey"><input name="key" type="password" autocomplete="current-password" required /><//>
      <details><summary>${t("login.more")}</summary>
        <${Field} label=${t("login.token")}><input name="token" autocomplete="off" spellcheck="false" /><//>
      </details>
      <${Problem} error=${action.error ?? error} />
      <div class="buttons"><button class="primary" aria-disabled=${action.busy}>${action.busy ? t("working") : t("login.go")}</button></div>
      <p class="soft small">${t("login.where")}</p>
    </form>
  </main>`;
}
