// The last step of scripts/bundle: node scripts/pack.mjs BOUND SITE
//
// Joins JavaScript into one file and the stylesheets into another, names the folder by its content, and puts a brotli
// and a gzip copy beside each file, so that the program compresses nothing while it serves.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const require = createRequire(join(process.env.WUKONG_NPM, "package.json"));
const esbuild = require("esbuild");

const [bound, site] = process.argv.slice(2);
const TARGET = ["chrome123", "firefox121", "safari17.5"]; // light-dark() and subgrid are the newest things that the styles use
const QUICK = Boolean(process.env.WUKONG_QUICK); // for work on the pages: nobody waits for the smallest file then
const STYLE = "style";
const FIRST_STYLES = ["tokens.css", "base.css"]; // what the others build on; the rest follows by name
const LAST_STYLES = ["print.css"]; // what overrules the others
const LOCALES = "locales";
const LATER = "later"; // the folder of styles and of words that the first page does without
const FIRST_LANGUAGE = "en"; // its keys count; what another language lacks is read in it
const COMPRESSED_ALREADY = /\.(png|jpe?g|webp|avif|woff2)$/;

const filesIn = (dir) =>
  (existsSync(dir) ? readdirSync(dir, { withFileTypes: true, recursive: true }) : [])
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();

function write(dir, name, content) {
  mkdirSync(dirname(join(dir, name)), { recursive: true });
  writeFileSync(join(dir, name), content);
}

/** Glue, split loader and snippets in one file: they import each other, and one request is fewer than five. */
function joinScripts(out) {
  esbuild.buildSync({
    entryPoints: [join(bound, "boot.js")],
    outfile: join(out, "app.js"),
    bundle: true,
    format: "esm",
    minify: true,
    target: TARGET,
    legalComments: "none",
    logLevel: "warning",
  });
}

function joinStyles(out, folder, name) {
  const rank = (name) => (FIRST_STYLES.indexOf(name) + 1 || FIRST_STYLES.length + 1 + LAST_STYLES.includes(name));
  const names = readdirSync(folder).filter((name) => name.endsWith(".css"));
  names.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const css = names.map((name) => readFileSync(join(folder, name), "utf8")).join("\n");
  const { code } = esbuild.transformSync(css, { loader: "css", minify: true, target: TARGET });
  write(out, name, code);
}

function copyFiles(out) {
  for (const name of filesIn(bound).filter((name) => name.endsWith(".wasm"))) copyFileSync(join(bound, name), join(out, name));
  for (const name of filesIn("public")) {
    const content = readFileSync(join("public", name));
    write(out, name, name.endsWith(".js") ? esbuild.transformSync(content, { minify: true, target: TARGET }).code : content);
  }
}

/** Browsers and robots ask for these at the root, whatever the page says; everything else of public/ lives under pkg/. */
function copyRootFiles() {
  for (const name of filesIn("public").filter((name) => ["favicon.ico", "robots.txt"].includes(name))) {
    copyFileSync(join("public", name), join(site, name));
  }
}

/** `section.key` → text; a text with forms has `section.key.one` and `section.key.other`. */
function textsOf(folder, language) {
  const texts = new Map();
  const flatten = (path, value) =>
    typeof value === "string" ? texts.set(path, value) : Object.entries(value).forEach(([name, inner]) => flatten(path ? `${path}.${name}` : name, inner));
  flatten("", JSON.parse(readFileSync(join(folder, `${language}.json`), "utf8")));
  return texts;
}

/** One line a text in the order of the keys, a placeholder as the character of its argument's number. build/words.rs makes the same, and checks it. */
function writeWords(out, folder, suffix) {
  const first = textsOf(folder, FIRST_LANGUAGE);
  const keys = [...first.keys()].sort();
  const stem = (key) => key.replace(/\.(one|other)$/, "");
  const placeholders = (key) => {
    const forms = keys.filter((other) => stem(other) === stem(key)).map((form) => first.get(form));
    return [...new Set(forms.flatMap((text) => [...text.matchAll(/\{([^}]*)\}/g)].map((match) => match[1])))].sort();
  };
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
    const language = file.slice(0, -".json".length);
    const own = textsOf(folder, language);
    const line = (key) =>
      placeholders(key).reduce(
        (text, name, index) => text.replaceAll(`{${name}}`, String.fromCharCode(index + 1)),
        own.get(key) ?? own.get(key.replace(/\.one$/, ".other")) ?? first.get(key),
      );
    write(out, `${language}${suffix}.txt`, keys.map(line).join("\n"));
  }
}

function contentHash(dir) {
  const hash = createHash("sha256");
  for (const name of filesIn(dir)) hash.update(`${name}\0`).update(readFileSync(join(dir, name)));
  return hash.digest("hex").slice(0, 16);
}

function compress(dir) {
  for (const name of filesIn(dir).filter((name) => !COMPRESSED_ALREADY.test(name))) {
    const content = readFileSync(join(dir, name));
    const params = { [constants.BROTLI_PARAM_QUALITY]: QUICK ? 1 : 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
    write(dir, `${name}.br`, brotliCompressSync(content, { params }));
    write(dir, `${name}.gz`, gzipSync(content, { level: QUICK ? 1 : 9 }));
  }
}

const staging = join(site, "pkg", "staging");
mkdirSync(staging, { recursive: true });
joinScripts(staging);
joinStyles(staging, STYLE, "app.css");
joinStyles(staging, join(STYLE, LATER), `${LATER}.css`);
copyFiles(staging);
writeWords(staging, LOCALES, "");
writeWords(staging, join(LOCALES, LATER), `.${LATER}`);
copyRootFiles();

const hash = contentHash(staging);
const names = filesIn(staging);
const address = (name) => `/pkg/${hash}/${name}`;
const MAIN = "wukong-dashboard_bg.wasm";
write(site, "manifest.json", JSON.stringify({
  css: address("app.css"),
  js: address("app.js"),
  wasm: address(MAIN),
  preload: [],
  chunks: names.filter((name) => name.endsWith(".wasm") && name !== MAIN).map(address),
}, null, 2) + "\n");

compress(staging);
renameSync(staging, join(site, "pkg", hash));
