// The page's one script. A file, not an inline script: the page's content security policy needs no exception for it.
import init, { hydrate } from "./wukong-dashboard.js";

const beside = (name) => new URL(name, import.meta.url);

/** The page's words come beside the WebAssembly, in the page's language alone. */
async function words(part) {
  const answer = await fetch(beside(`${document.documentElement.lang}${part}.txt`));
  if (!answer.ok) throw new Error(answer.url);
  return answer.text();
}

/** The server links these styles where the page needs them; a link that failed would never be tried again. */
function styles() {
  const { href } = beside("later.css");
  if ([...document.styleSheets].some((sheet) => sheet.href === href)) return;
  return new Promise((onload, fail) => {
    const onerror = () => (link.remove(), fail());
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href, onload, onerror });
    document.head.append(link);
  });
}

// What the first page does without. The others' code asks for it; the words of a try that failed are empty.
let later;
globalThis.wukongLater = () =>
  (later ??= Promise.all([words(".later"), styles()]).then(
    ([text]) => text,
    () => ((later = undefined), ""),
  ));

/**
 * Waits until the browser reports the first paint: the page is complete as the server sent it, and on a slow line its paint
 * should not share the line with the WebAssembly. Where no paint is reported, the next frame and half a second are enough.
 */
const painted = () =>
  new Promise((done) => {
    new PerformanceObserver(done).observe({ type: "paint", buffered: true });
    requestAnimationFrame(() => setTimeout(done, 500));
  });

const first = words("");
await painted();
await init();
// What it asks names the build and the language (see src/server/http/build.rs), below the path where this file is too.
const build = import.meta.url.split("/").at(-2);
hydrate(await first, new URL(`../../at/${build}/${document.documentElement.lang}`, import.meta.url).pathname);
