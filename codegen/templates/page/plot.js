/* A recording: its plot, and the window of it that the network sees. */

const PLOT_PIXELS = [640, 180];

/** Shows `rows` of `channels` values; show(recording) takes them, and move(start) is called with the window's first. */
function makePlot(place, channels, rows, move) {
  const canvas = element("canvas", { id: "plot", width: PLOT_PIXELS[0], height: PLOT_PIXELS[1], role: "img",
    ariaLabel: "Plot of the recording" });
  const slider = element("input", { type: "range", id: "position", min: 0, value: 0 });
  const part = element("label", { hidden: true }, "Window ", slider);
  const context = canvas.getContext("2d");
  let recording = new Int16Array(rows * channels);

  function draw() {
    const colours = getComputedStyle(canvas);
    const [width, height] = PLOT_PIXELS;
    const length = recording.length / channels;
    const [low, high] = recording.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [0, 1]);
    const x = (row) => (row * width) / length;
    context.clearRect(0, 0, width, height);
    if (length > rows) {
      context.fillStyle = colours.getPropertyValue("--shade");
      context.fillRect(x(Number(slider.value)), 0, x(rows), height);
    }
    const y = (value) => 4 + ((height - 8) * (high - value)) / (high - low);
    for (let channel = 0; channel < channels; channel++) {
      context.strokeStyle = colours.getPropertyValue(`--line-${channel % 4}`);
      context.beginPath();
      // what falls on one column of pixels is a line from its lowest to its highest value
      for (let row = 0; row < length; ) {
        let [lowest, highest] = [Infinity, -Infinity];
        const column = Math.floor(x(row));
        const first = row;
        do {
          const value = recording[row * channels + channel];
          [lowest, highest] = [Math.min(lowest, value), Math.max(highest, value)];
          row++;
        } while (row < length && Math.floor(x(row)) === column);
        context.lineTo(x(first), y(highest));
        context.lineTo(x(first), y(lowest));
      }
      context.stroke();
    }
  }

  slider.addEventListener("input", () => {
    draw();
    move(Number(slider.value));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  place.append(canvas, part);
  draw();
  return {
    show(values) {
      recording = values;
      slider.max = values.length / channels - rows;
      slider.value = 0;
      part.hidden = values.length <= rows * channels;
      draw();
    },
  };
}
