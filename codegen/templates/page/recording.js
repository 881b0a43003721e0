/* A recording of a sensor: pasted or loaded, and a window that moves over it. */

function makeSource(place, changed) {
  const channels = facts.shape.at(-1);
  const rows = facts.shape[0];
  const type = facts.sensor_size ? Int16Array : Uint8Array;
  let recording = new type(rows * channels);
  const window = (start) => recording.subarray(start * channels, (start + rows) * channels);

  const plot = makePlot(place, channels, rows, (start) => changed(window(start)));
  const paste = element("div", { className: "paste" });
  place.append(paste);
  const names = listed(facts.channels.map(({ name }) => name));
  textSource(paste, `Paste CSV: ${rows} rows or more of ${names}`, (text) => {
    const read = readTable(text);
    if (read.rows.length < rows) {
      throw new Error(`there are ${read.rows.length} rows, but a window has ${rows}`);
    }
    recording = type.from(read.rows.flat());
    say(`${read.rows.length.toLocaleString("en")} rows; columns ${listed(read.columns)}`);
    plot.show(recording);
    changed(window(0));
  });
  changed(recording, true);
}
