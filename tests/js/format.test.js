import assert from "node:assert/strict";
import { test } from "node:test";
import { capitalised, clock, decibels, longest, size } from "../../webapp/static/webapp/lib/format.js";

/** @type {[string, (value: any) => string, [unknown, string][]][]} */
const CASES = [
  [
    "clock",
    clock,
    [
      [0, "0:00"],
      [59.99, "0:59"],
      [187, "3:07"],
      [3599, "59:59"],
      [3765, "1:02:45"],
    ],
  ],
  [
    "capitalised",
    capitalised,
    [
      ["vocals", "Vocals"],
      ["", ""],
    ],
  ],
  [
    "decibels",
    decibels,
    [
      [0, "0.0 dB"],
      [6, "6.0 dB"],
      [-12.34, "−12.3 dB"],
      [-Infinity, "−∞ dB"],
    ],
  ],
  [
    "size",
    size,
    [
      [1, "1 kB"],
      [999_400, "999 kB"],
      [1_000_000, "1.0 MB"],
      [9_900_000, "9.9 MB"],
      [314_572_800, "315 MB"],
    ],
  ],
  [
    "longest",
    longest,
    [
      [60, "1 minute"],
      [900, "15 minutes"],
      [3600, "1 hour"],
      [5400, "1.5 hours"],
      [7200, "2 hours"],
    ],
  ],
];

for (const [name, format, pairs] of CASES) {
  for (const [value, text] of pairs) test(`${name}(${value}) is "${text}"`, () => assert.equal(format(value), text));
}
