import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_DB, PITCH, TEMPO } from "../../webapp/static/webapp/audio/mix-law.js";
import { exact, fromQuery, ofOtherLanes, toQuery } from "../../webapp/static/webapp/audio/mix-query.js";
import { lane } from "./support.js";

const NAMES = ["vocals", "drums"];
const DURATION = 60;

/** An untouched mix. @param {object} [change] */
const mix = (change = {}) => ({
  lanes: NAMES.map((name) => lane(name)),
  masterDb: 0,
  limiter: true,
  tempo: 1,
  pitch: 0,
  loop: null,
  ...change,
});

/** @param {string} query */
const read = (query) => fromQuery(new URLSearchParams(query), NAMES, DURATION);

test("an untouched mix says only that the limiter is on", () => {
  assert.equal(String(toQuery(mix())), "limiter=1");
});

test("a query says everything that was changed", () => {
  const state = mix({
    lanes: [lane("vocals", { db: -6.5, pan: -0.25 }), lane("drums", { db: -Infinity, mute: true, solo: true })],
    masterDb: -3,
    limiter: false,
    tempo: 0.8,
    pitch: -2,
    loop: { start: 1.5, end: 12.25 },
  });
  const query = toQuery(state);
  assert.equal(
    String(query),
    "vocals=-6.5&vocals.pan=-0.25&drums=-inf&mute=drums&solo=drums&master=-3&limiter=0&tempo=0.8&pitch=-2&start=1.5&end=12.25",
  );
  assert.deepEqual(fromQuery(query, NAMES, DURATION), state);
});

test("an empty query is an untouched mix", () => assert.deepEqual(read(""), mix()));

test("values out of range become the nearest that are in it", () => {
  const state = read("vocals=99&vocals.pan=-5&tempo=9&pitch=-40&master=40&start=0&end=1000");
  assert.deepEqual(state.lanes[0], lane("vocals", { db: MAX_DB, pan: -1 }));
  assert.equal(state.tempo, TEMPO.max);
  assert.equal(state.pitch, PITCH.min);
  assert.equal(state.masterDb, MAX_DB);
  assert.deepEqual(state.loop, { start: 0, end: DURATION });
});

test("nonsense changes nothing", () => {
  assert.deepEqual(read("vocals=loud&drums.pan=NaN&tempo=&pitch=x&mute=nobody&start=5&end=5&trumpet=3"), mix());
});

test("what concerns other lanes is kept apart", () => {
  const query = new URLSearchParams("vocals=-3&guitar=-6&guitar.pan=1&mute=guitar&mute=drums&tempo=2&limiter=1");
  assert.equal(String(ofOtherLanes(query, NAMES)), "guitar=-6&guitar.pan=1&mute=guitar");
});

test("times are exact to the millisecond", () => assert.equal(exact(1.23456), 1.235));
