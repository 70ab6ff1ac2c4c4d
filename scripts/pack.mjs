// The last step of scripts/bundle: node scripts/pack.mjs BOUND SITE
//
// Joins JavaScript into one file, minifies it and the stylesheets, names the folder by its content, and puts a brotli and
// a gzip copy beside each file, so that the program compresses nothing while it serves.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const require = createRequire(join(process.env.WUKONG_NPM, "package.json"));
const esbuild = require("esbuild");

const [bound, site] = process.argv.slice(2);
const TARGET = ["chrome123", "firefox121", "safari17.5"]; // light-dark() and subgrid are the newest things that the styles use
const QUICK = process.env.WUKONG_PROFILE === "demo"; // on one machine nobody waits for the smallest file
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

function minifyStyles(out) {
  for (const name of filesIn(bound).filter((name) => name.endsWith(".css"))) {
    const css = readFileSync(join(bound, name), "utf8");
    write(out, name, esbuild.transformSync(css, { loader: "css", minify: true, target: TARGET }).code);
  }
}

function copyFiles(out) {
  for (const name of filesIn(bound).filter((name) => /\.(wasm|txt)$/.test(name))) copyFileSync(join(bound, name), join(out, name));
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
minifyStyles(staging);
copyFiles(staging);
copyRootFiles();

const hash = contentHash(staging);
const address = (name) => `/pkg/${hash}/${name}`;
const manifest = { css: address("app.css"), js: address("app.js") };
write(site, "manifest.json", JSON.stringify(manifest, null, 2) + "\n");

compress(staging);
renameSync(staging, join(site, "pkg", hash));
