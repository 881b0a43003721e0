/* Tables of numbers, pasted or loaded, as counts. */

const NAMES_SHOWN = 8;
const listed = (names) => names.slice(0, NAMES_SHOWN).join(", ") + (names.length > NAMES_SHOWN ? ", …" : "");

/** Cells of a line; a cell in quotes may hold the separator. */
function cellsOf(line, separator) {
  const cells = [];
  for (const [, quoted, plain] of line.matchAll(
    separator === " " ? /(?:"((?:[^"]|"")*)"|(\S+))/g
      : new RegExp(`(?:^|${separator})(?:"((?:[^"]|"")*)"|([^${separator}]*))`, "g"))) {
    cells.push((quoted?.replaceAll('""', '"') ?? plain).trim());
  }
  return cells;
}

/** Halves to even, as the trainer rounds. */
function rounded(value) {
  const whole = Math.round(value);
  return whole - value === 0.5 && whole % 2 ? whole - 1 : whole;
}

function toCount(value, worth) {
  const [low, high] = facts.sensor_size ? [-32768, 32767] : [0, 255];
  return clamp(rounded(value / worth), low, high);
}

/** Counts of each row of `text`, and the columns taken: those with the model's names, else the first with numbers. */
function readTable(text) {
  const lines = text.split(/\r?\n/).filter((line) => line.trim());
  if (!lines.length) {
    throw new Error("there is no row in it");
  }
  const separator = [";", "\t", ","].find((character) => lines[0].includes(character)) ?? " ";
  const number = (cell) => {
    const plain = separator === ";" ? cell?.replace(",", ".") : cell;
    return plain ? Number(plain) : NaN;
  };
  const table = lines.map((line) => cellsOf(line, separator));
  const names = facts.channels.map(({ name }) => name);
  const hasHeader = table[0].some((cell) => cell && Number.isNaN(number(cell))) && table.length > 1
    && (names.every((name) => table[0].includes(name)) || table[0].every((cell) => Number.isNaN(number(cell))));
  const head = hasHeader ? table.shift() : table[0].map((_, index) => `column ${index + 1}`);
  let columns = names.map((name) => head.indexOf(name));
  if (columns.includes(-1)) {
    columns = head.map((_, index) => index).filter((index) => !Number.isNaN(number(table[0][index])));
    columns = columns.slice(0, names.length);
  }
  if (columns.length < names.length) {
    throw new Error(`a row needs ${names.length} numbers: ${listed(names)}`);
  }
  const rows = table.map((cells, row) => columns.map((column, index) => {
    const value = number(cells[column]);
    if (Number.isNaN(value)) {
      throw new Error(`row ${row + 1} has no number for ${names[index]}`);
    }
    return toCount(value, facts.channels[index].worth);
  }));
  return { rows, columns: columns.map((column) => head[column]) };
}

/** A box to paste into, and a file to load; taken(text) may fail, and the page says why. */
function textSource(place, label, taken) {
  const box = element("textarea", { id: "paste", rows: 3, spellcheck: false });
  const read = (text) => {
    try {
      taken(text);
    } catch (error) {
      say(error.message);
    }
  };
  box.addEventListener("input", () => (box.value.trim() ? read(box.value) : say("")));
  const load = async (file) => {
    box.value = "";
    read(await file.text());
  };
  place.append(element("label", { htmlFor: "paste", textContent: label }), box,
    fileButton("Load a file", ".csv,.tsv,.txt,text/*", load));
}
