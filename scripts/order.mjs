// node scripts/order.mjs WASM: names the functions of a module by the place that each should have, for wasm-opt's
// --reorder-functions-by-name: those that are alike stand together, where compression finds the one in the other.
// A view's code is made for each type of view, and most copies differ in a few bytes.
import { readFileSync, writeFileSync } from "node:fs";
import { Section, afterDescription, leb, rewritten, sections, text, toLeb, toText } from "./wasm.mjs";

const GRAM = 6; // bytes: about two instructions
const COMMON = 200; // what as many functions have says nothing about two of them
const UNLIKE = 0.05; // below this likeness a function follows its signature and beginning only

const [file] = process.argv.slice(2);
const wasm = readFileSync(file);
let imported = 0, types = [], bodies = [];
for (const [id, section] of sections(wasm)) {
  let [count, at] = id === Section.custom ? [0, 0] : leb(section, 0);
  for (let i = 0; i < count; i++) {
    if (id === Section.imports) {
      at = text(section, text(section, at)[1])[1];
      imported += section[at] === 0 ? 1 : 0;
      at = afterDescription(section, at);
    } else if (id === Section.functions) {
      const [type, end] = leb(section, at);
      types.push(type);
      at = end;
    } else if (id === Section.code) {
      const [size, begin] = leb(section, at);
      at = begin + size;
      bodies.push(section.toString("latin1", begin, at));
    } else break;
  }
}

const grams = bodies.map((body) => {
  const found = new Set();
  for (let at = 0; at + GRAM <= body.length; at++) found.add(body.slice(at, at + GRAM));
  return found;
});
const holders = new Map();
grams.forEach((found, index) => {
  for (const gram of found) holders.has(gram) ? holders.get(gram).push(index) : holders.set(gram, [index]);
});

const taken = new Set();
/** The one that is most like it, of those that have no place yet. */
function nearest(index) {
  const shared = new Map();
  for (const gram of grams[index]) {
    const others = holders.get(gram);
    if (others.length >= COMMON) continue;
    for (const other of others) if (!taken.has(other)) shared.set(other, (shared.get(other) ?? 0) + 1);
  }
  let best = UNLIKE, found;
  for (const [other, count] of shared) {
    const likeness = (count / (grams[index].size + grams[other].size - count + 20)) * (types[other] === types[index] ? 1.2 : 1);
    if (likeness > best) [best, found] = [likeness, other];
  }
  return found;
}

const alphabetical = bodies.map((_, index) => index);
alphabetical.sort((a, b) => types[a] - types[b] || (bodies[a] < bodies[b] ? -1 : 1));
const order = [];
for (const first of alphabetical) {
  for (let next = first; next !== undefined && !taken.has(next); next = nearest(next)) {
    taken.add(next);
    order.push(next);
  }
}

const place = new Map(order.map((index, rank) => [index, rank]));
const FUNCTION_NAMES = 1;
const names = Buffer.concat([
  toLeb(bodies.length),
  ...bodies.flatMap((_, index) => [toLeb(imported + index), toText(String(place.get(index)).padStart(6, "0"))]),
]);
const isNames = (id, section) => id === Section.custom && text(section, 0)[0] === "name";
const named = rewritten(wasm, (id, section) => (isNames(id, section) ? undefined : section));
const content = Buffer.concat([toText("name"), Buffer.from([FUNCTION_NAMES]), toLeb(names.length), names]);
writeFileSync(file, Buffer.concat([named, Buffer.from([Section.custom]), toLeb(content.length), content]));
