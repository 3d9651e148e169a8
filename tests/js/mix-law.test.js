import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  dbToGain,
  dbToTravel,
  gainToDb,
  laneGains,
  MAX_DB,
  matchedGain,
  travelToDb,
} from "../../webapp/static/webapp/audio/mix-law.js";
import { close, lane } from "./support.js";

/** Shared with tests/pipeline/exports/test_mix.py. JSON has no infinity: null stands for it. */
const vectors = JSON.parse(readFileSync(new URL("../vectors/mix.json", import.meta.url), "utf-8"));

for (const [number, { lanes, gains }] of vectors.entries()) {
  test(`vector ${number}: the server's gains`, () => {
    const found = laneGains(lanes.map((each) => ({ ...each, db: each.db ?? -Infinity })));
    assert.equal(found.length, gains.length);
    found.forEach((gain, index) => close(gain, gains[index], 1e-12));
  });
}

test("decibels and gains convert both ways", () => {
  assert.equal(dbToGain(0), 1);
  assert.equal(dbToGain(-Infinity), 0);
  assert.equal(gainToDb(0), -Infinity);
  close(gainToDb(dbToGain(-17.3)), -17.3);
});

test("a fader's travel runs from silence to MAX_DB and back", () => {
  assert.equal(travelToDb(0), -Infinity);
  close(travelToDb(1), MAX_DB);
  for (const travel of [0, 0.1, 0.5, 0.9, 1]) close(dbToTravel(travelToDb(travel)), travel);
});

test("solos add up, and mute beats solo", () => {
  const lanes = [lane("vocals", { solo: true }), lane("drums", { solo: true, mute: true }), lane("bass")];
  assert.deepEqual(laneGains(lanes), [1, 0, 0]);
  assert.deepEqual(laneGains([lanes[0], { ...lanes[1], mute: false }, lanes[2]]), [1, 1, 0]);
});

test("the original is as loud as the mix", () => {
  const lanes = [lane("vocals"), lane("drums")];
  const energies = { vocals: 3, drums: 1 };
  assert.equal(matchedGain(lanes, energies), 1);
  close(matchedGain([lanes[0], lane("drums", { mute: true })], energies), Math.sqrt(3 / 4));
  close(matchedGain([lanes[0], lane("drums", { mute: true })], {}), Math.sqrt(1 / 2)); // energies not yet known
  assert.equal(matchedGain([], {}), 1);
});
