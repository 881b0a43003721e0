/* The page's one loop: an input comes, the network runs, the answer is shown. */

const REPEAT = 32;

async function start() {
  const run = await loadModel();
  const show = makeAnswer();
  let last = null;
  makeSource(byId("source"), (values, isEmpty = false) => {
    last = values;
    show(run(values), isEmpty);
  });
  performance.mark("first answer");
  setTimeout(() => {
    const begin = performance.now();
    for (let count = 0; count < REPEAT; count++) {
      run(last);
    }
    const ms = (performance.now() - begin) / REPEAT;
    byId("time").textContent = `${ms.toPrecision(2)} ms an inference in this browser`;
  }, 100);
}

const started = start().catch((error) => say(`This browser can't run the page: ${error.message}`));
