"use strict";
/* What the network answers, what every layer gives, and the first layer's weights. */

const byId = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const MAPS_MAX = 128; // of a layer
const VECTOR_COLUMNS = 32;
const SIGN_COLOURS = [[178, 88, 22], [247, 247, 247], [33, 102, 172]]; // of -1, 0 and +1

/** A new element; texts of users get into the page only as text. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A picture of width x height cells of `scale` CSS pixels; paint(colour) takes colour(cell) -> [red, green, blue]. */
function picture(width, height, scale) {
  const canvas = element("canvas", { width, height, className: "cells" });
  canvas.style.width = `${width * scale}px`;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  canvas.paint = (colour) => {
    for (let cell = 0; cell < width * height; cell++) {
      image.data.set([...colour(cell), 255], 4 * cell);
    }
    context.putImageData(image, 0, 0);
  };
  return canvas;
}

const cellPixels = (width, height) => Math.max(2, Math.round(44 / Math.max(width, height)));

/** Adds the pictures of a layer's output to the page; returns what paints bytes into them. */
function layerView({ title, shape, bits }) {
  const channels = shape.at(-1);
  const [height, width] = shape.length === 3 ? shape : [1, 1];
  const isSeries = width === 1; // one picture: channels below each other, or a vector in rows
  const columns = height > 1 ? height : Math.min(channels, VECTOR_COLUMNS);
  const maps = isSeries ? [picture(columns, Math.ceil((height * channels) / columns), 10)]
    : Array.from({ length: Math.min(channels, MAPS_MAX) }, () => picture(width, height, cellPixels(width, height)));
  const note = isSeries || maps.length === channels ? "" : `, the first ${maps.length} maps`;
  byId("layers").append(element("h3", { textContent: title + note }),
    element("div", { className: "maps", role: "img", ariaLabel: title }, ...maps));

  return (bytes) => {
    const words = bits && new Uint32Array(bytes.slice().buffer);
    const most = words ? 1 : Math.max(1, ...bytes);
    const value = (pixel, channel) => {
      const place = pixel * channels + channel;
      const word = pixel * Math.ceil(channels / 32) + (channel >> 5);
      return words ? ~(words[word] >>> (channel & 31)) & 1 : bytes[place];
    };
    maps.forEach((map, channel) => map.paint((cell) => {
      const row = Math.floor(cell / columns);
      const number = !isSeries ? value(cell, channel) : height > 1 ? value(cell % columns, row) : value(0, cell);
      return Array(3).fill((255 * number) / most);
    }));
  };
}

/** Adds the pictures of weights, input and layers to the page; returns what paints a result into them. */
function makePictures() {
  if (facts.weights) {
    const { neurons, width, height, packed } = facts.weights;
    const quads = unpacked(packed);
    for (let neuron = 0; neuron < neurons; neuron++) {
      const canvas = picture(width, height, cellPixels(width, height));
      canvas.paint((cell) => {
        const place = neuron * width * height + cell;
        return SIGN_COLOURS[(quads[place >> 2] >> (2 * (place & 3))) & 3];
      });
      byId("weights").append(canvas);
    }
  }
  byId("weights-part").hidden = !facts.weights;
  const paintInput = facts.input && layerView(facts.input);
  const paints = facts.layers.slice(0, -1).map(layerView); // the last one's are the logits
  byId("layers-part").hidden = !paintInput && !paints.length;

  return ({ input, trace }) => {
    paintInput?.(input);
    let start = 0;
    paints.forEach((paint, index) => {
      const end = start + facts.layers[index].bytes;
      paint(trace.subarray(start, end));
      start = end;
    });
  };
}

/** Returns show(result, isEmpty): the answer at once, the pictures with the next frame. */
function makeAnswer() {
  const rows = facts.labels.map((label) => {
    const fill = element("i");
    const number = element("td");
    const row = element("tr", {}, element("th", { scope: "row", textContent: label }),
      element("td", { className: "bar" }, fill), number);
    byId("logits").append(row);
    return { row, fill, number };
  });
  let latest = null;
  let paint;

  return function show(result, isEmpty) {
    const low = Math.min(0, ...result.logits);
    const span = Math.max(0, ...result.logits) - low || 1;
    rows.forEach(({ row, fill, number }, index) => {
      const value = result.logits[index];
      fill.style.left = `${(100 * (Math.min(0, value) - low)) / span}%`;
      fill.style.width = `${(100 * Math.abs(value)) / span}%`;
      number.textContent = String(value).replace(/\B(?=(\d{3})+$)/g, ",");
      row.className = !isEmpty && index === result.decision ? "best" : "";
    });
    const name = result.decision < 0 ? "none of these" : facts.labels[result.decision];
    byId("class").textContent = isEmpty ? "–" : name;
    byId("confidence").textContent = isEmpty ? "" : `${(result.confidence / 10).toFixed(1)} % confidence`;
    if (!latest) {
      requestAnimationFrame(() => {
        paint ??= makePictures();
        paint(latest);
        latest = null;
      });
    }
    latest = result;
  };
}

/** What went wrong, or what was read. */
function say(text) {
  byId("message").textContent = text;
}

/** A button that opens a file; taken(file) may fail, and the page says why. */
function fileButton(label, accept, taken) {
  const input = element("input", { type: "file", accept, id: "file" });
  input.addEventListener("change", async () => {
    try {
      await taken(input.files[0]);
    } catch (error) {
      say(`${input.files[0].name}: ${error.message}`);
    }
    input.value = "";
  });
  return element("label", { className: "file" }, label, " ", input);
}
