/** Runs the limiter on the audio thread and reports its gain reduction. */

import { Limiter } from "./limiter.js";

/** Blocks of 128 frames between reports: 46 ms at 44.1 kHz. */
const REPORT = 16;

registerProcessor(
  "limiter",
  class extends AudioWorkletProcessor {
    static parameterDescriptors = [{ name: "on", defaultValue: 1, minValue: 0, maxValue: 1, automationRate: "k-rate" }];

    #limiter = new Limiter(sampleRate);
    #least = 1;
    #reported = 1;
    #blocks = 0;

    /**
     * @param {Float32Array[][]} inputs
     * @param {Float32Array[][]} outputs
     * @param {Record<string, Float32Array>} parameters
     */
    process([input], [[left, right]], { on }) {
      const silence = new Float32Array(left.length);
      const gain = this.#limiter.process(
        [input[0] ?? silence, input[1] ?? input[0] ?? silence],
        [left, right],
        on[0] > 0.5,
      );
      this.#least = Math.min(this.#least, gain);
      if (++this.#blocks % REPORT === 0) this.#report();
      return true;
    }

    /** Posts the least gain since the last report, unless it is unchanged. */
    #report() {
      if (this.#least !== this.#reported) this.port.postMessage(this.#least);
      this.#reported = this.#least;
      this.#least = 1;
    }
  },
);
