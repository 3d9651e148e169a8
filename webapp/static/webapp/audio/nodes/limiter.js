/**
 * A look-ahead limiter: its output never exceeds the ceiling, and input below the ceiling is only delayed.
 * The server's exports use the same arithmetic (pipeline/exports/limiter.py). This needs no Web Audio:
 * limiter-worklet.js runs it.
 *
 * For each frame: the gain that brings the louder channel to the ceiling; its minimum over the look-ahead; its rise
 * limited to RELEASE dB per second; and its mean over the look-ahead, so that it never steps. The signal is delayed by
 * the look-ahead.
 */

/** Greatest amplitude of the output. */
export const CEILING = 1;
/** Delay of the output, frames: 5 ms at 44.1 kHz. */
export const LOOKAHEAD = 220;
/** How fast the gain recovers, dB per second. */
export const RELEASE = 30;

/** Length of the minimum and the mean, frames: from a frame's input to its output, both included. */
const WINDOW = LOOKAHEAD + 1;

export class Limiter {
  #slope;
  #least = new SlidingMinimum(WINDOW);
  /** Gain before the mean, dB. */
  #gainDb = 0;
  #gains = new Float64Array(WINDOW).fill(1);
  #sum = WINDOW;
  #at = 0;
  #delayed = [new Float32Array(WINDOW), new Float32Array(WINDOW)];

  /** @param {number} rate frames per second */
  constructor(rate) {
    this.#slope = RELEASE / rate;
  }

  /**
   * @param {readonly [Float32Array, Float32Array]} input left and right
   * @param {readonly [Float32Array, Float32Array]} output of the same length; the input of LOOKAHEAD frames earlier
   * @param {boolean} on false: only delays
   * @returns {number} the least gain; 1 if nothing was too loud
   */
  process([left, right], output, on) {
    let least = 1;
    for (let frame = 0; frame < left.length; frame++) {
      const gain = this.#gain(on ? Math.max(Math.abs(left[frame]), Math.abs(right[frame])) : 0);
      least = Math.min(least, gain);
      this.#delayed[0][this.#at] = left[frame];
      this.#delayed[1][this.#at] = right[frame];
      this.#at = (this.#at + 1) % WINDOW;
      output[0][frame] = gain * this.#delayed[0][this.#at];
      output[1][frame] = gain * this.#delayed[1][this.#at];
    }
    return least;
  }

  /** @param {number} peak amplitude of the input frame @returns {number} gain for the output frame */
  #gain(peak) {
    const required = peak > CEILING ? 20 * Math.log10(CEILING / peak) : 0;
    this.#gainDb = Math.min(this.#least.push(required), this.#gainDb + this.#slope);
    const gain = 10 ** (this.#gainDb / 20);
    this.#sum += gain - this.#gains[this.#at];
    this.#gains[this.#at] = gain;
    return this.#sum / WINDOW;
  }
}

/** The minimum of the last `size` numbers, in constant time per number: keeps only those that can still become it. */
class SlidingMinimum {
  #values;
  #times;
  #first = 0;
  #kept = 0;
  #now = 0;

  /** @param {number} size */
  constructor(size) {
    this.size = size;
    this.#values = new Float64Array(size);
    this.#times = new Float64Array(size);
  }

  /** @param {number} value @returns {number} */
  push(value) {
    while (this.#kept && this.#values[this.#slot(this.#kept - 1)] >= value) this.#kept--;
    this.#values[this.#slot(this.#kept)] = value;
    this.#times[this.#slot(this.#kept)] = this.#now++;
    this.#kept++;
    if (this.#times[this.#first] < this.#now - this.size) {
      this.#first = this.#slot(1);
      this.#kept--;
    }
    return this.#values[this.#first];
  }

  /** @param {number} place counted from the oldest */
  #slot(place) {
    return (this.#first + place) % this.size;
  }
}
