/** Measures levels at a point of the audio graph. */

/** The longest window, frames: 93 ms at 44.1 kHz. */
const WINDOW = 4096;
/** The shortest window: the graph's block size, frames. */
const BLOCK = 128;

/** Shared by all meters, which are read many times a second, one after another. */
const scratch = new Float32Array(WINDOW);

/**
 * @typedef {object} Level amplitudes
 * @property {number} rms of both channels together
 * @property {number} peak of the louder channel
 */

export class LevelMeter {
  #channels;
  #read = 0;

  /** @param {BaseAudioContext} context */
  constructor(context) {
    this.context = context;
    this.input = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
    this.#channels = [0, 1].map((channel) => {
      const analyser = new AnalyserNode(context, { fftSize: WINDOW });
      this.input.connect(analyser, channel);
      return analyser;
    });
  }

  /** @returns {Level} since the last call, but at most over WINDOW */
  level() {
    const passed = Math.round((this.context.currentTime - this.#read) * this.context.sampleRate);
    this.#read = this.context.currentTime;
    const frames = Math.min(Math.max(passed, BLOCK), WINDOW);
    let [energy, peak] = [0, 0];
    for (const channel of this.#channels) {
      channel.getFloatTimeDomainData(scratch);
      for (let frame = WINDOW - frames; frame < WINDOW; frame++) {
        energy += scratch[frame] ** 2;
        peak = Math.max(peak, Math.abs(scratch[frame]));
      }
    }
    return { rms: Math.sqrt(energy / (2 * frames)), peak };
  }
}
