// Comforts for those who have a script: keys that walk the list, forms that need no button, commands that copy
// themselves. Everything is there without it. Nothing is taken from a field that is being filled in.
(() => {
  const OFF = "keys-off"; // single keys can be turned off: speech input types them by accident
  const PAUSE = 300; // ms after the last letter until a text is looked for
  // The name of this dashboard's user in the storage, which all dashboards of a host share.
  const USER = `user ${new URL("../..", document.currentScript.src).pathname}`;
  const SHOWN = 2000; // ms for which a button says that it has copied
  const FIELD = "input, select, textarea, [contenteditable]";
  const ITEM = ".cards h3 a, .vms tbody th a";
  const find = (selector) => document.querySelector(selector);

  const stored = {
    get: () => { try { return localStorage.getItem(OFF); } catch { return null; } },
    set: (off) => { try { if (off) localStorage.setItem(OFF, "1"); else localStorage.removeItem(OFF); } catch { /* private mode */ } },
  };

  /** Where an arrow leads from an item; undefined where the list ends. */
  function next(items, item, key) {
    const at = items.indexOf(item);
    const top = (it) => Math.round(it.getBoundingClientRect().top);
    const columns = items.filter((it) => top(it) === top(items[0])).length;
    return items[{
      ArrowDown: at + columns, ArrowUp: at - columns, ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: items.length - 1,
    }[key]];
  }

  function walk(event, items) {
    const { target, key } = event;
    const place = target.closest(".card, .vms tbody tr");
    if (place) return next(items, place.querySelector(ITEM), key);
    if (key === "ArrowDown" && target.matches(".filters [type=search]")) return items[0];
    return undefined;
  }

  function single(key) {
    if (key === "/") {
      const field = find(".filters [type=search]") ?? find(".search input");
      field?.focus();
      field?.select();
      return Boolean(field);
    }
    if (key === "?") find("#keys")?.showModal();
    return key === "?";
  }

  addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!(target instanceof Element) || find("dialog[open]")) return;
    const item = walk(event, [...document.querySelectorAll(ITEM)]);
    item?.focus();
    if (item || (!target.closest(FIELD) && !stored.get() && single(key))) event.preventDefault();
  });

  let timer;
  const later = (form, pause) => {
    clearTimeout(timer);
    timer = setTimeout(() => { if (form.isConnected) form.requestSubmit(); }, pause);
  };
  // Without the browser's half each pause in typing would load the page again. Enter sends the text then.
  const alive = () => !find(".live.snapshot");
  addEventListener("input", ({ target, isComposing }) => {
    if (!isComposing && alive() && target.matches?.(".filters [type=search]")) later(target.form, PAUSE);
  });
  addEventListener("change", ({ target }) => {
    if (target.matches?.(".filters select")) later(target.form, 0);
    if (target.matches?.("#keys [type=checkbox]")) stored.set(!target.checked);
  });
  // A search that goes by itself must not come after the one that Enter has sent, nor take back a page opened meanwhile.
  const stay = () => clearTimeout(timer);
  addEventListener("submit", stay);
  addEventListener("popstate", stay);
  addEventListener("click", ({ target, ctrlKey, metaKey, shiftKey }) => {
    if (target.closest?.("a[href]:not([download])") && !ctrlKey && !metaKey && !shiftKey) stay();
  });

  // The search of the bar suggests names, and opens the one that is chosen.
  const BASE = new URL("../..", document.currentScript.src);
  let sought;
  function suggestion(list, { kind, namespace, name }) {
    const isVm = kind === "vm";
    const option = new Option(isVm ? "" : list.dataset[kind], isVm ? `${namespace}/${name}` : name);
    const path = { vm: `vms/${namespace}/${name}`, node: `nodes/${name}`, namespace: `?namespace=${name}` }[kind];
    option.dataset.href = new URL(path, BASE);
    return option;
  }
  async function suggest(field) {
    const text = field.value.trim();
    const answer = text && await fetch(new URL(`api/search?q=${encodeURIComponent(text)}`, BASE)).catch(() => null);
    if (field.value.trim() !== text) return;
    const { matches } = answer?.ok ? await answer.json() : { matches: [] };
    field.list.replaceChildren(...matches.map((match) => suggestion(field.list, match)));
    field.list.dataset.text = text;
  }
  /** Opens what is suggested and has this name. A VM can be named without its namespace if no other has its name. */
  function open(field) {
    const text = field.value.trim();
    const options = [...field.list.options];
    // A list for fewer letters may lack another VM of this name.
    const named = field.list.dataset.text === text ? options.filter(({ value }) => value.endsWith(`/${text}`)) : [];
    const chosen = options.find(({ value }) => value === text) ?? (named.length === 1 ? named[0] : null);
    if (!chosen || !text) return false;
    const link = Object.assign(document.createElement("a"), { href: chosen.dataset.href });
    document.body.append(link);
    link.click();
    link.remove();
    field.value = "";
    return true;
  }
  addEventListener("input", ({ target, inputType, isComposing }) => {
    if (!target.list || isComposing) return;
    clearTimeout(sought);
    // Letters that are typed have another type, and browsers that give none have a choice.
    const isChoice = !inputType || inputType === "insertReplacementText";
    if (!isChoice || !open(target)) sought = setTimeout(suggest, PAUSE / 2, target);
  });
  addEventListener("submit", (event) => {
    clearTimeout(sought);
    const field = event.target.querySelector("[list]");
    if (!field || !open(field)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);

  // Back leads to the view that was left, although another one is the default from now on.
  addEventListener("click", ({ target }) => {
    const left = target.closest?.(".filters .seg button") && find(".filters .seg [aria-current]");
    if (!left) return;
    const url = new URL(location);
    url.searchParams.set("view", left.value);
    history.replaceState(history.state, "", url);
  });

  /** The clipboard is there on https and on this machine alone; a selection can be copied anywhere. */
  async function copy(code) {
    try {
      await navigator.clipboard.writeText(code.textContent.trim());
      return true;
    } catch {
      getSelection().selectAllChildren(code);
      return document.execCommand("copy");
    }
  }

  addEventListener("click", async ({ target }) => {
    if (target.closest?.("#keys-open")) find("#keys").showModal();
    const button = target.closest?.(".copy");
    if (!button || !await copy(button.parentElement.querySelector("code"))) return;
    button.classList.add("copied");
    find("#announcement").textContent = button.dataset.copied;
    setTimeout(() => {
      button.classList.remove("copied");
      find("#announcement").textContent = "";
    }, SHOWN);
  });

  // What needs attention is written again when it changes. What is open or closed stays so, and the focus where it is.
  const folds = new WeakMap();
  const PARTS = "a, summary";
  let focused = -1;
  addEventListener("focusin", ({ target }) => {
    focused = [...target.closest(".attention")?.querySelectorAll(PARTS) ?? []].indexOf(target);
  });
  // Not by the event "toggle", which comes later: the list may be another by then.
  addEventListener("click", ({ target }) => {
    const clicked = target.closest?.("summary")?.parentElement;
    const place = clicked?.closest(".attention");
    if (!place) return;
    const details = () => [...place.querySelectorAll("details")];
    if (!folds.has(place)) {
      new MutationObserver(() => {
        details().forEach((part, at) => { part.open = folds.get(place)[at] ?? part.open; });
        if (document.activeElement === document.body) place.querySelectorAll(PARTS)[focused]?.focus();
      }).observe(place, { childList: true });
    }
    folds.set(place, details().map((part) => part.open !== (part === clicked)));
  });

  // Once the session has ended, links and forms load documents: the server leads to the sign-in, and back.
  const ended = (event) => {
    if (!find(".live.ended")) return false;
    event.stopImmediatePropagation();
    return true;
  };
  addEventListener("click", (event) => { if (event.target.closest?.("a[href]")) ended(event); }, true);
  addEventListener("submit", ended, true);
  addEventListener("popstate", (event) => { if (ended(event)) location.reload(); }, true);
  // The user menu closes as menus do.
  const close = (inside) => {
    const menu = find(".user[open]");
    if (!menu || menu.contains(inside)) return;
    if (menu.contains(document.activeElement)) menu.firstElementChild.focus();
    menu.open = false;
  };
  addEventListener("click", ({ target }) => close(target));
  addEventListener("keydown", ({ key }) => { if (key === "Escape") close(null); });
  // Once another tab is of another user, this page would show what they see under the name of before.
  const { user, renew } = find(".user")?.dataset ?? {};
  try { if (user) localStorage.setItem(USER, user); } catch { /* private mode */ }
  addEventListener("storage", ({ key, newValue }) => { if (user && key === USER && newValue !== user) location.reload(); });
  // A visible page loads itself again when its user is due for renewal at the identity provider. Tabs do so one by one:
  // the first renews for all.
  const due = Date.now() + (Number(renew) + Math.random() * 30) * 1000;
  const renewed = () => { if (Date.now() > due && !document.hidden && !find(".live.ended")) location.reload(); };
  if (renew) setInterval(renewed, 5000);
  addEventListener("visibilitychange", renewed);
  // A page that the browser kept for its back button may be of somebody who has signed out since.
  addEventListener("pageshow", ({ persisted }) => { if (persisted && find(".user")) location.reload(); });

  const choice = find("#keys [type=checkbox]");
  if (choice) choice.checked = !stored.get();
})();
