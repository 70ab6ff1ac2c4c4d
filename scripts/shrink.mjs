// node scripts/shrink.mjs BOUND NAME: makes the bound WebAssembly and its glue smaller by what neither needs to say.
//
// wasm-bindgen names each function that the browser's half calls with its hash, in both files, 200 times; and it exports
// the classes of crates that are linked in, whether anybody makes one or not, with all the code behind them.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [bound, name] = process.argv.slice(2);
const wasmFile = join(bound, `${name}_bg.wasm`);
const glueFile = join(bound, `${name}.js`);
const GLUE_MODULE = `./${name}_bg.js`;
const IMPORTS = 2, EXPORTS = 7; // section ids of WebAssembly's binary format

/** Numbers in LEB128. */
function leb(bytes, at) {
  let value = 0, shift = 0;
  for (;;) {
    const byte = bytes[at++];
    value += (byte & 127) * 2 ** shift;
    shift += 7;
    if (byte < 128) return [value, at];
  }
}

function toLeb(value) {
  const out = [];
  do {
    out.push((value % 128) | (value >= 128 ? 128 : 0));
    value = Math.floor(value / 128);
  } while (value > 0);
  return Buffer.from(out);
}

const text = (bytes, at) => {
  const [length, start] = leb(bytes, at);
  return [bytes.toString("utf8", start, start + length), start + length];
};
const toText = (string) => Buffer.concat([toLeb(Buffer.byteLength(string)), Buffer.from(string)]);

/** Where an import's description ends: its kind decides. */
function afterDescription(bytes, at) {
  const limits = (at) => {
    const flags = bytes[at];
    let [, end] = leb(bytes, at + 1);
    if (flags & 1) [, end] = leb(bytes, end);
    return end;
  };
  switch (bytes[at]) {
    case 0: return leb(bytes, at + 1)[1];
    case 1: return limits(at + 2);
    case 2: return limits(at + 1);
    case 3: return at + 3;
    case 4: return leb(bytes, at + 2)[1];
    default: throw new Error(`an import of kind ${bytes[at]}`);
  }
}

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

let glue = readFileSync(glueFile, "utf8");
const wasm = readFileSync(wasmFile);
const names = new Map(), dropped = [];
const out = [wasm.subarray(0, 8)];
for (let at = 8; at < wasm.length;) {
  const id = wasm[at];
  const [size, begin] = leb(wasm, at + 1);
  let content = wasm.subarray(begin, begin + size);
  if (id === IMPORTS) content = renameImports(content, names);
  if (id === EXPORTS) content = dropExports(content, glue, dropped);
  out.push(Buffer.from([id]), toLeb(content.length), content);
  at = begin + size;
}
glue = glue.replace(/^( {8})(\w+)(: function\()/gm, (all, indent, field, rest) => names.has(field) ? indent + names.get(field) + rest : all);
const left = [...names.keys()].filter((field) => glue.includes(`${field}:`));
if (left.length > 0) throw new Error(`the glue still says ${left.slice(0, 3).join(", ")}`);
writeFileSync(wasmFile, Buffer.concat(out));
writeFileSync(glueFile, glue);
console.error(`renamed ${names.size} imports, dropped ${dropped.length} exports`);
