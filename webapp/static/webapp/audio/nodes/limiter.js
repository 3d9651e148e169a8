/**
 * A look-ahead limiter: nothing leaves it beyond the ceiling, and what stays below the ceiling leaves it unchanged, only later.
 * The server's exports use the same arithmetic (pipeline/exports/limiter.py). No Web Audio in here: limiter-worklet.js runs it.
 *
 * For each frame: the gain that brings the louder channel to the ceiling; the least of it over the look-ahead; its rise held
 * to RELEASE dB per second; and a mean over the look-ahead, so that it never steps. Sound waits as long as the look-ahead.
 */

/** Greatest amplitude that leaves the limiter. */
export const CEILING = 1;
/** Frames by which sound is late: 5 ms at 44.1 kHz. */
export const LOOKAHEAD = 220;
/** How fast the gain comes back, dB per second. */
export const RELEASE = 30;

/** Frames that the minimum and the mean are taken over: all between a frame's arrival and its leaving, both included. */
const WINDOW = LOOKAHEAD + 1;

export class Limiter {
  #slope;
  #least = new SlidingMinimum(WINDOW);
  /** The gain, dB, before the mean. */
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
   * @param {readonly [Float32Array, Float32Array]} output as long; what came in LOOKAHEAD frames earlier
   * @param {boolean} on false: only late
   * @returns {number} the least gain, 1 where nothing was too loud
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

  /** @param {number} peak amplitude of the frame that comes in @returns {number} for the frame that goes out */
  #gain(peak) {
    const required = peak > CEILING ? 20 * Math.log10(CEILING / peak) : 0;
    this.#gainDb = Math.min(this.#least.push(required), this.#gainDb + this.#slope);
    const gain = 10 ** (this.#gainDb / 20);
    this.#sum += gain - this.#gains[this.#at];
    this.#gains[this.#at] = gain;
    return this.#sum / WINDOW;
  }
}

/** The least of the last `size` numbers, in constant time each: only those that can still become it are kept. */
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

  /** @param {number} place counted from the first */
  #slot(place) {
    return (this.#first + place) % this.size;
  }
}
