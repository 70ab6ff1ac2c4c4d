// node scripts/shrink.mjs BOUND NAME: makes the bound WebAssembly and its glue smaller by what neither needs to say.
//
// wasm-bindgen names each function that the browser's half calls with its hash, in both files, 200 times; and it exports
// the classes of crates that are linked in, whether anybody makes one or not, with all the code behind them.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Section, afterDescription, leb, rewritten, text, toLeb, toText } from "./wasm.mjs";

const [bound, name] = process.argv.slice(2);
const wasmFile = join(bound, `${name}_bg.wasm`);
const glueFile = join(bound, `${name}.js`);
const GLUE_MODULE = `./${name}_bg.js`;

/** a, b, …, z, aa, … */
function short(index) {
  let out = "";
  for (let rest = index + 1; rest > 0; rest = Math.floor((rest - 1) / 26)) out = String.fromCharCode(97 + ((rest - 1) % 26)) + out;
  return out;
}

function renameImports(section, names) {
  let [count, at] = leb(section, 0);
  const out = [toLeb(count)];
  for (let i = 0; i < count; i++) {
    const [module, afterModule] = text(section, at);
    const [field, begin] = text(section, afterModule);
    at = afterDescription(section, begin);
    let said = field;
    if (module === GLUE_MODULE) {
      if (!names.has(field)) names.set(field, short(names.size));
      said = names.get(field);
    }
    out.push(toText(module), toText(said), section.subarray(begin, at));
  }
  return Buffer.concat(out);
}

/** What the glue does not name is nobody's. */
function dropExports(section, glue, dropped) {
  let [count, at] = leb(section, 0);
  const kept = [];
  for (let i = 0; i < count; i++) {
    const begin = at;
    const [field, afterName] = text(section, at);
    [, at] = leb(section, afterName + 1);
    if (isUnused(field, glue)) dropped.push(field);
    else kept.push(section.subarray(begin, at));
  }
  return Buffer.concat([toLeb(kept.length), ...kept]);
}

/** Classes that no import of the glue makes: `__wbg_CLASS_new` stands for one being made. */
const classes = (glue) => [...glue.matchAll(/^export class (\w+)/gm)].map(([, name]) => name);
const madeBy = (glue, name) => new RegExp(`\\b${name}\\.__wrap\\b`).test(glue);
function isUnused(field, glue) {
  return classes(glue).some((name) => !madeBy(glue, name) && new RegExp(`^(__wbg_)?${name.toLowerCase()}_`).test(field));
}

/** Without the classes themselves, and what waits for their objects to be collected. */
function withoutUnmade(glue) {
  for (const name of classes(glue).filter((name) => !madeBy(glue, name))) {
    glue = glue.replace(new RegExp(`^export class ${name} \\{\\n[\\s\\S]*?^\\}\\n(if \\(Symbol\\.dispose\\) ${name}\\..*\\n)?`, "m"), "");
    glue = glue.replace(new RegExp(`^const ${name}Finalization = [^;]*;\\n`, "m"), "");
    if (glue.includes(name)) throw new Error(`the glue still says ${name}`);
  }
  return glue;
}

let glue = readFileSync(glueFile, "utf8");
const wasm = readFileSync(wasmFile);
const names = new Map(), dropped = [];
const out = rewritten(wasm, (id, section) => {
  if (id === Section.imports) return renameImports(section, names);
  if (id === Section.exports) return dropExports(section, glue, dropped);
  return section;
});
glue = withoutUnmade(glue);
glue = glue.replace(/^( {8})(\w+)(: function\()/gm, (all, indent, field, rest) => names.has(field) ? indent + names.get(field) + rest : all);
const left = [...names.keys()].filter((field) => glue.includes(`${field}:`));
if (left.length > 0) throw new Error(`the glue still says ${left.slice(0, 3).join(", ")}`);
writeFileSync(wasmFile, out);
writeFileSync(glueFile, glue);
console.error(`renamed ${names.size} imports, dropped ${dropped.length} exports`);
