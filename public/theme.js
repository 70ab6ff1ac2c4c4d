// Light or dark: follows the system until a choice is made. Loaded in the head, so that no page flashes.
(() => {
  const root = document.documentElement;
  const KEY = "theme";
  const isTheme = (value) => value === "light" || value === "dark";
  const use = (theme) => {
    if (isTheme(theme)) root.dataset.theme = theme;
  };

  root.classList.add("scripted");
  // Storage can be forbidden; the choice then lasts as long as the page.
  try {
    use(localStorage.getItem(KEY));
  } catch {}

  addEventListener("storage", (event) => event.key === KEY && use(event.newValue));
  addEventListener("click", (event) => {
    if (!event.target.closest?.(".theme")) return;
    const now = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    use(now === "dark" ? "light" : "dark");
    try {
      localStorage.setItem(KEY, root.dataset.theme);
    } catch {}
  });
})();
