"use strict";
/* The network: WebAssembly that was compiled from the generated C. */

const facts = JSON.parse(document.getElementById("facts").textContent);

const unpacked = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** A promise of run(values): an input's bytes, or what a sensor gives as int16. */
async function loadModel() {
  const inflate = new DecompressionStream("deflate");
  const writer = inflate.writable.getWriter();
  writer.write(unpacked(facts.module));
  writer.close();
  const code = await new Response(inflate.readable).arrayBuffer();
  const c = (await WebAssembly.instantiate(code)).instance.exports;
  const view = (type, place, count) => new type(c.memory.buffer, place, count);
  const traceBytes = facts.layers.reduce((sum, layer) => sum + layer.bytes, 0);

  return function run(values) {
    if (facts.sensor_size) {
      view(Int16Array, c.sensor(), facts.sensor_size).set(values);
      c.prepare();
    } else {
      view(Uint8Array, c.input(), facts.input_size).set(values);
    }
    c.infer();
    const best = c.best();
    return {
      input: view(Uint8Array, c.input(), facts.input_size).slice(),
      trace: view(Uint8Array, c.trace(), traceBytes).slice(), // every layer's output
      logits: view(Int32Array, c.logits(), facts.labels.length).slice(),
      best,
      decision: facts.rejects ? c.decision() : best, // -1 where the input is refused
      confidence: c.confidence(), // per mille
    };
  };
}
