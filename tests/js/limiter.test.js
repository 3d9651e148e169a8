import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CEILING, Limiter, LOOKAHEAD } from "../../webapp/static/webapp/audio/nodes/limiter.js";
import { close } from "./support.js";

const SAMPLE_RATE = 44_100;
/** Shared with tests/pipeline/exports/test_limiter.py: stretches of constant level in, some frames out. */
const vector = JSON.parse(readFileSync(new URL("../vectors/limiter.json", import.meta.url), "utf-8"));

/** @param {[number, number, number][]} stretches frames, left, right @returns {[Float32Array, Float32Array]} */
function constant(stretches) {
  const length = stretches.reduce((sum, [frames]) => sum + frames, 0);
  const [left, right] = [new Float32Array(length), new Float32Array(length)];
  let at = 0;
  for (const [frames, ...levels] of stretches) {
    left.fill(levels[0], at, at + frames);
    right.fill(levels[1], at, at + frames);
    at += frames;
  }
  return [left, right];
}

/** @param {[Float32Array, Float32Array]} input @param {number} size of a block @param {boolean} [on] */
function limited([left, right], size, on = true) {
  const limiter = new Limiter(SAMPLE_RATE);
  const output = [new Float32Array(left.length), new Float32Array(left.length)];
  let least = 1;
  for (let start = 0; start < left.length; start += size) {
    const block = (/** @type {Float32Array} */ channel) => channel.subarray(start, start + size);
    least = Math.min(least, limiter.process([block(left), block(right)], [block(output[0]), block(output[1])], on));
  }
  return { output, least };
}

for (const size of [100_000, 221, 128, 7]) {
  test(`the server's numbers in blocks of ${size} frames`, () => {
    const { output } = limited(constant(vector.input), size);
    for (const [frame, left, right] of vector.output) {
      close(output[0][frame], left, 1e-6);
      close(output[1][frame], right, 1e-6);
    }
  });
}

test("nothing leaves beyond the ceiling", () => {
  const { output, least } = limited(
    constant([
      [1000, 0.5, 0.5],
      [50, 8, -3],
      [2000, 0.9, 4],
    ]),
    128,
  );
  assert.ok(Math.max(...output.flatMap((channel) => [...channel.map(Math.abs)])) <= CEILING + 1e-6);
  assert.ok(least < 0.2);
});

test("sound below the ceiling only comes later", () => {
  const input = constant([
    [300, 0.1, -0.2],
    [300, 1, -1],
    [600, 0.3, 0.4],
  ]);
  const { output, least } = limited(input, 128);
  assert.equal(least, 1);
  output.forEach((channel, index) => {
    assert.ok(channel.subarray(0, LOOKAHEAD).every((value) => value === 0));
    assert.deepEqual(channel.subarray(LOOKAHEAD), input[index].subarray(0, -LOOKAHEAD));
  });
});

test("a limiter that is off only delays", () => {
  const input = constant([[1000, 4, -4]]);
  const { output, least } = limited(input, 128, false);
  assert.equal(least, 1);
  assert.deepEqual(output[0].subarray(LOOKAHEAD), input[0].subarray(0, -LOOKAHEAD));
});
