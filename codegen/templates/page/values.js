/* A row of values: a slider for each, or CSV. */

/** The number with the fewest digits that is this count. */
function shortest(count, worth) {
  let digits = 1;
  while (digits < 12 && toCount(Number((count * worth).toPrecision(digits)), worth) !== count) {
    digits++;
  }
  return Number((count * worth).toPrecision(digits));
}

function makeSource(place, changed) {
  const counts = facts.shape.reduce((product, side) => product * side, 1);
  const values = facts.sensor_size ? new Int16Array(counts) : new Uint8Array(counts);
  const isTable = facts.shape.length === 1;
  const sliders = facts.channels[0].ends ? facts.channels.map(slider) : [];
  const rowNumber = element("input", { type: "number", id: "row", min: 1, value: 1 });
  const rowPart = element("label", { hidden: true }, "Row ", rowNumber);
  let table = [];

  function slider({ name, worth, ends: [low, high] }, index) {
    const margin = facts.sensor_size ? Math.ceil((high - low) / 20) : 0;
    const [least, most] = facts.sensor_size ? [-32768, 32767] : [0, 255];
    const range = element("input", { type: "range", ariaLabel: name,
      min: clamp(low - margin, least, most), max: clamp(high + margin, least, most) });
    const number = element("input", { type: "number", id: `value-${index}`, step: "any" });
    const show = () => {
      range.value = values[index];
      number.value = shortest(values[index], worth);
    };
    range.addEventListener("input", () => {
      values[index] = Number(range.value);
      show();
      changed(values);
    });
    number.addEventListener("change", () => {
      values[index] = toCount(Number(number.value), worth);
      show();
      changed(values);
    });
    values[index] = Math.round((low + high) / 2);
    show();
    const part = element("div", { className: "slider" },
      element("label", { htmlFor: number.id, textContent: name }), range, number);
    return { part, show };
  }

  function take(row) {
    values.set(table[row]);
    sliders.forEach(({ show }) => show());
    changed(values);
  }

  const paste = element("div", { className: "paste" });
  place.append(element("div", { className: "sliders" }, ...sliders.map(({ part }) => part)), paste);
  textSource(paste, isTable ? "Paste CSV" : `Paste ${facts.shape.join(" × ")} numbers`, (text) => {
    if (isTable) {
      const read = readTable(text);
      table = read.rows;
      say(`${table.length} ${table.length === 1 ? "row" : "rows"}; columns ${listed(read.columns)}`);
    } else {
      const numbers = text.split(/[\s,;]+/).filter(Boolean).map(Number);
      if (numbers.length !== counts || numbers.some(Number.isNaN)) {
        throw new Error(`an input is ${counts} numbers, but there are ${numbers.length}`);
      }
      table = [numbers.map((number, index) => toCount(number, facts.channels[index % facts.shape.at(-1)].worth))];
      say("");
    }
    rowPart.hidden = table.length < 2;
    rowNumber.max = table.length;
    rowNumber.value = 1;
    take(0);
  });
  rowNumber.addEventListener("input", () => {
    const row = Number(rowNumber.value);
    if (row >= 1 && row <= table.length) {
      take(row - 1);
    }
  });
  paste.append(rowPart);
  changed(values);
}
