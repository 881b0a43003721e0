/* Sound: what the microphone hears, or a file. */

const LISTEN_MS = 100;
const ANALYSER_SAMPLES_MAX = 32768;
const FULL_SCALE = 32768;

const toSamples = (reals) => Int16Array.from(reals, (real) => clamp(Math.round(real * FULL_SCALE), -32768, 32767));

function makeSource(place, changed) {
  const rows = facts.shape[0];
  const rate = facts.rate_hz;
  let recording = new Int16Array(rows);
  let stop = null;
  const listenButton = element("button", { type: "button", id: "listen", textContent: "Listen" });
  const plot = makePlot(place, 1, rows, (start) => changed(recording.subarray(start, start + rows)));

  function show(samples) {
    recording = samples;
    plot.show(samples);
    changed(samples.subarray(0, rows));
  }

  /** The file at the model's rate; a shorter one gets silence on both sides. */
  async function load(file) {
    stop?.();
    const context = new OfflineAudioContext(1, 1, rate);
    const sound = await context.decodeAudioData(await file.arrayBuffer()).catch(() => {
      throw new Error("is no sound that this browser reads");
    });
    const mixed = new Float32Array(Math.max(rows, sound.length));
    const first = Math.floor((mixed.length - sound.length) / 2);
    for (let channel = 0; channel < sound.numberOfChannels; channel++) {
      sound.getChannelData(channel).forEach((real, index) => {
        mixed[first + index] += real / sound.numberOfChannels;
      });
    }
    say(`${(sound.length / rate).toFixed(2)} s at ${rate.toLocaleString("en")} Hz`);
    show(toSamples(mixed));
  }

  async function listen() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const context = new AudioContext({ sampleRate: rate });
    const analyser = new AnalyserNode(context, { fftSize: 2 ** Math.ceil(Math.log2(Math.max(32, rows))) });
    context.createMediaStreamSource(stream).connect(analyser);
    const heard = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(heard);
      show(toSamples(heard.subarray(-rows)));
    }, LISTEN_MS);
    listenButton.textContent = "Stop";
    say("Listening; nothing leaves this page.");
    stop = () => {
      clearInterval(timer);
      stream.getTracks().forEach((track) => track.stop());
      context.close();
      stop = null;
      listenButton.textContent = "Listen";
      say("");
    };
  }

  listenButton.addEventListener("click", () => {
    if (stop) {
      stop();
    } else {
      listen().catch((error) => say(`The microphone can't be used: ${error.message}`));
    }
  });
  place.append(element("div", { className: "controls" },
    ...(rows <= ANALYSER_SAMPLES_MAX ? [listenButton] : []), fileButton("Load a sound", "audio/*", load)));
  changed(recording, true);
}
