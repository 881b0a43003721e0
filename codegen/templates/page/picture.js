/* A picture: drawn with mouse, finger or keys, or loaded. */

const PAD_PIXELS = 280;
const LOADED_PIXELS_MAX = 1120;
const INK = 16; // what is brighter belongs to the digit
const GREY = [19595, 38470, 7471]; // of red, green and blue, in 65536ths
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Mean over a rectangle of the pad, parts of pixels at its edges included; what is outside is 0. */
function mean(pad, depth, channel, left, top, right, bottom) {
  let sum = 0;
  for (let y = Math.max(0, Math.floor(top)); y < Math.min(pad.height, Math.ceil(bottom)); y++) {
    const height = Math.min(y + 1, bottom) - Math.max(y, top);
    for (let x = Math.max(0, Math.floor(left)); x < Math.min(pad.width, Math.ceil(right)); x++) {
      const width = Math.min(x + 1, right) - Math.max(x, left);
      sum += width * height * pad.values[(y * pad.width + x) * depth + channel];
    }
  }
  return sum / ((right - left) * (bottom - top));
}

/** Where a digit is: {step, left, top} of the network's pixels on the pad; null if nothing is drawn. */
function digitFrame(pad, side) {
  let [left, right, top, bottom] = [Infinity, -1, Infinity, -1];
  let [mass, massX, massY] = [0, 0, 0];
  for (let y = 0; y < pad.height; y++) {
    for (let x = 0; x < pad.width; x++) {
      const value = pad.values[y * pad.width + x];
      if (value > INK) {
        [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
        mass += value;
        massX += value * (x + 0.5);
        massY += value * (y + 0.5);
      }
    }
  }
  if (right < 0) {
    return null;
  }
  const isMass = facts.centring === "mass";
  const box = isMass ? Math.round((side * 20) / 28) : side;
  const step = Math.max(right - left, bottom - top) / box;
  const [x, y] = isMass ? [massX / mass, massY / mass] : [(left + right) / 2, (top + bottom) / 2];
  return { step, left: x - (step * side) / 2, top: y - (step * side) / 2 };
}

function makeSource(place, changed) {
  const [height, width, depth] = facts.shape;
  const cell = PAD_PIXELS / Math.max(width, height);
  const canvas = element("canvas", { id: "pad", tabIndex: 0, role: "application", ariaLabel: "Drawing pad" });
  canvas.style.width = `${width * cell}px`;
  canvas.style.aspectRatio = `${width} / ${height}`;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const seen = picture(width, height, cell / 2);
  seen.id = "seen";
  const invert = element("input", { type: "checkbox", id: "invert" });
  const centre = element("input", { type: "checkbox", id: "centre", checked: Boolean(facts.centring) });
  const clearButton = element("button", { type: "button", id: "clear", textContent: "Clear" });
  const box = (input, text) => element("label", {}, input, ` ${text}`);
  let isEmpty, isDown, pen, last;

  /** The pad's bytes, of as many channels as the network sees. */
  function padValues() {
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const pixels = data.length / 4;
    const values = new Uint8Array(pixels * depth);
    for (let index = 0; index < values.length; index++) {
      const place = 4 * Math.floor(index / depth) + (index % depth);
      const value = depth > 1 ? data[place]
        : (GREY[0] * data[place] + GREY[1] * data[place + 1] + GREY[2] * data[place + 2] + 32768) >> 16;
      values[index] = invert.checked ? 255 - value : value;
    }
    return { values, width: canvas.width, height: canvas.height };
  }

  /** What the network sees of the pad. */
  function resampled() {
    const values = new Uint8Array(facts.input_size);
    if (isEmpty) {
      return values;
    }
    const pad = padValues();
    const { step, left: x0, top: y0 } = (centre.checked && digitFrame(pad, width))
      || { step: pad.width / width, left: 0, top: 0 };
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [left, top] = [x0 + x * step, y0 + y * step];
        for (let channel = 0; channel < depth; channel++) {
          values[(y * width + x) * depth + channel] =
            Math.round(mean(pad, depth, channel, left, top, left + step, top + step));
        }
      }
    }
    return values;
  }

  function update() {
    const values = resampled();
    seen.paint((pixel) => Array.from({ length: 3 }, (_, channel) => values[pixel * depth + (channel % depth)]));
    changed(values, isEmpty);
  }

  /** A black pad; with a size it is that of a picture to be loaded. */
  function clear(padWidth = width * cell, padHeight = height * cell) {
    [canvas.width, canvas.height] = [padWidth, padHeight];
    context.fillRect(0, 0, padWidth, padHeight);
    [isEmpty, isDown, invert.checked] = [true, false, false];
    pen = [padWidth / 2, padHeight / 2];
    say("");
  }

  function stroke(to) {
    const side = Math.max(canvas.width, canvas.height);
    context.strokeStyle = invert.checked ? "#000" : "#fff";
    context.lineCap = "round";
    context.lineWidth = side / (facts.centring === "box" ? 7 : 11);
    context.beginPath();
    context.moveTo(...(last ?? to));
    context.lineTo(...to);
    context.stroke();
    [last, isEmpty] = [to, false];
    update();
  }

  async function load(file) {
    const bitmap = await createImageBitmap(file).catch(() => {
      throw new Error("is no picture that this browser reads");
    });
    const scale = Math.min(1, LOADED_PIXELS_MAX / Math.max(bitmap.width, bitmap.height));
    const [w, h] = [bitmap.width * scale, bitmap.height * scale];
    const step = Math.max(w / width, h / height);
    clear(width * step, height * step);
    const [x, y] = [(canvas.width - w) >> 1, (canvas.height - h) >> 1];
    context.drawImage(bitmap, x, y, w, h);
    const [corner] = context.getImageData(x, y, 1, 1).data;
    if (facts.centring && corner > 127) {
      // ink on paper: what the picture leaves of the pad is paper, too
      invert.checked = true;
      context.fillStyle = "#fff";
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(bitmap, x, y, w, h);
    }
    isEmpty = false;
    update();
  }

  const point = ({ offsetX, offsetY }) =>
    [offsetX, offsetY].map((at) => (at * canvas.width) / canvas.clientWidth);

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    isDown = true;
    stroke(point(event));
  });
  canvas.addEventListener("pointermove", (event) => isDown && stroke(point(event)));
  canvas.addEventListener("lostpointercapture", () => { isDown = false; });
  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible")) {
      say("Arrows move the pen, Space lowers and lifts it, Delete clears.");
    }
  });
  canvas.addEventListener("keydown", (event) => {
    const move = ARROWS[event.key];
    if (event.key === " ") {
      isDown = !isDown;
      last = null;
    } else if (event.key === "Delete") {
      clearButton.click();
    } else if (!move) {
      return;
    }
    event.preventDefault();
    const side = Math.max(canvas.width, canvas.height);
    pen = pen.map((at, axis) => clamp(at + ((move?.[axis] ?? 0) * side) / 28, 0, side));
    if (isDown) {
      stroke(pen);
    }
    say(`Pen ${isDown ? "down" : "up"} at ${pen.map(Math.round).join(", ")}`);
  });
  clearButton.addEventListener("click", () => {
    clear();
    update();
  });
  for (const input of [invert, centre]) {
    input.addEventListener("change", update);
  }

  place.append(
    element("div", { className: "pads" }, canvas,
      element("figure", {}, seen, element("figcaption", { textContent: "What the network sees" }))),
    element("div", { className: "controls" }, clearButton, fileButton("Load a picture", "image/*", load),
      box(invert, "invert"), ...(facts.centring ? [box(centre, "centre as in the training data")] : [])),
  );
  clear();
  update();
}
