// What the scripts that rewrite WebAssembly share: numbers, texts and sections of its binary format.

export const Section = { custom: 0, imports: 2, functions: 3, exports: 7, code: 10 };

/** A number in LEB128: its value, and where it ends. */
export function leb(bytes, at) {
  let value = 0, shift = 0;
  for (;;) {
    const byte = bytes[at++];
    value += (byte & 127) * 2 ** shift;
    shift += 7;
    if (byte < 128) return [value, at];
  }
}

export function toLeb(value) {
  const out = [];
  do {
    out.push((value % 128) | (value >= 128 ? 128 : 0));
    value = Math.floor(value / 128);
  } while (value > 0);
  return Buffer.from(out);
}

export const text = (bytes, at) => {
  const [length, start] = leb(bytes, at);
  return [bytes.toString("utf8", start, start + length), start + length];
};
export const toText = (string) => Buffer.concat([toLeb(Buffer.byteLength(string)), Buffer.from(string)]);

/** Where an import's description ends: its kind decides. */
export function afterDescription(bytes, at) {
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

/** Each section's id and content. */
export function* sections(wasm) {
  for (let at = 8; at < wasm.length;) {
    const id = wasm[at];
    const [size, begin] = leb(wasm, at + 1);
    at = begin + size;
    yield [id, wasm.subarray(begin, at)];
  }
}

/** A module with `rewrite(id, content)` in each section's place; a section without content goes. */
export function rewritten(wasm, rewrite) {
  const out = [wasm.subarray(0, 8)];
  for (const [id, section] of sections(wasm)) {
    const content = rewrite(id, section);
    if (content) out.push(Buffer.from([id]), toLeb(content.length), content);
  }
  return Buffer.concat(out);
}
