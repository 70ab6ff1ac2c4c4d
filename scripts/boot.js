// The page's one script. A file, not an inline script: the page's content security policy needs no exception for it.
import init, { hydrate } from "./wukong-dashboard.js";

await init();
hydrate();
