"use strict";
/* Runs a page's network in Node.  Reads inputs from stdin; writes for each what a sensor's values became, every layer's
 * output, class and confidence, and the decision where the model refuses inputs. */
const { readFileSync, writeFileSync } = require("node:fs");
const vm = require("node:vm");

const page = readFileSync(process.argv[2], "utf8");
const [facts, script] = [...page.matchAll(/<script[^>]*>([^]*?)<\/script>/g)].map((match) => match[1]);
globalThis.document = { getElementById: () => ({ textContent: facts }) };

vm.runInThisContext(`${script}; loadModel()`).then((run) => {
  const { sensor_size: sensorSize, input_size: inputSize, rejects } = JSON.parse(facts);
  const bytes = readFileSync(0);
  const size = sensorSize ? 2 * sensorSize : inputSize;
  const parts = [];
  for (let start = 0; start < bytes.length; start += size) {
    const input = new Uint8Array(bytes.subarray(start, start + size));
    const result = run(sensorSize ? new Int16Array(input.buffer) : input);
    const verdict = [result.best, result.confidence, ...(rejects ? [result.decision] : [])];
    parts.push(...(sensorSize ? [result.input] : []), result.trace, new Uint8Array(Int32Array.from(verdict).buffer));
  }
  writeFileSync(1, Buffer.concat(parts));
});
