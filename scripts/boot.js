// The page's one script. A file, not an inline script: the page's content security policy needs no exception for it.
import init, { hydrate } from "./wukong-dashboard.js";

// The page's words come beside the WebAssembly, in the page's language alone. Both are preloaded.
const words = fetch(new URL(`${document.documentElement.lang}.txt`, import.meta.url)).then((answer) => answer.text());
await init();
hydrate(await words);
