import { describe, expect, it } from "vitest";
import type { ShotCard } from "../src/protocol";
import { codecOf } from "../src/video/decoder";
import { Pace } from "../src/video/pace";
import { type Packet, readPacket, writePacket } from "../src/video/packet";
import { Playlist } from "../src/video/playlist";
import { neighbour } from "../src/story/timeline";
import { Reel } from "../src/video/reel";
import { Stretches } from "../src/video/stretches";

const packet = (shot: number, frame: number, more: Partial<Packet> = {}): Packet => ({
  kind: 1,
  shot,
  take: 0,
  frame,
  keyframe: frame === 0,
  lastOfShot: false,
  timestampMicroseconds: frame * 100_000,
  payload: new Uint8Array(10),
  ...more,
});
const takeShot = (shot: number, frames: number, more: Partial<Packet> = {}) =>
  Array.from({ length: frames }, (_, frame) => packet(shot, frame, more));
const entry = (number: number, frames: number, chunks: number, take = 0): ShotCard => ({
  number,
  prompt: "",
  prompts: [],
  length_seconds: 1,
  seed: 0,
  take,
  takes: take + 1,
  made: [],
  continuity: [],
  references: [],
  state: "done",
  chunks,
  frames,
  in_frame: 0,
});
const drain = (list: Playlist) => {
  const handed: string[] = [];
  for (let next = list.next(); next; next = list.next()) handed.push(`${next.shot}.${next.frame}`);
  return handed;
};

describe("packets", () => {
  it("are read as the layout says", () => {
    const bytes = new Uint8Array([
      1, 2, 0, 0, 0, 3, 0, 0, 0, 0x04, 0x01, 0, 0, 3, 0x40, 0x42, 0x0f, 0, 0, 0, 0, 0, 9, 8,
    ]);
    expect(readPacket(bytes.buffer)).toEqual({
      kind: 1,
      shot: 2,
      take: 3,
      frame: 260,
      keyframe: true,
      lastOfShot: true,
      timestampMicroseconds: 1_000_000,
      payload: new Uint8Array([9, 8]),
    });
  });

  it("survive the round trip", () => {
    const one = packet(7, 65_537, { take: 4_000_000_000, timestampMicroseconds: 2 ** 40, lastOfShot: true });
    expect(readPacket(writePacket(one))).toEqual(one);
  });

  it("shorter than their header are refused", () => {
    expect(() => readPacket(new ArrayBuffer(21))).toThrow("21 bytes");
  });
});

describe("the playlist", () => {
  it("never hands out a frame that builds on a missing one", () => {
    const list = new Playlist(100);
    for (const one of [...takeShot(0, 5).filter(({ frame }) => frame !== 2), ...takeShot(1, 2)])
      list.push(one);
    expect(drain(list)).toEqual(["0.0", "0.1", "1.0", "1.1"]);
  });

  it("drops what is no longer part of the story, and takes what comes in its place", () => {
    const list = new Playlist(100);
    for (const one of takeShot(0, 4)) list.push(one);
    expect(list.next()?.frame).toBe(0);
    list.drop({ shot: 0, take: 0, frame: 2 });
    for (const one of [packet(0, 2, { keyframe: true }), packet(0, 3)]) list.push(one);
    expect(drain(list)).toEqual(["0.1", "0.2", "0.3"]);
  });

  it("skips to the newest keyframe when too much waits", () => {
    const list = new Playlist(4);
    for (const one of [...takeShot(0, 3), ...takeShot(1, 2)]) list.push(one);
    expect(drain(list)).toEqual(["1.0", "1.1"]);
  });

  it("plays again in full however long it is, then goes on", () => {
    const list = new Playlist(2);
    list.replay(takeShot(0, 4));
    list.push(packet(1, 0));
    expect(list.isReplay).toBe(true);
    expect(drain(list)).toEqual(["0.0", "0.1", "0.2", "0.3", "1.0"]);
    expect(list.isReplay).toBe(false);
  });

  it("follows again from a keyframe, because the decoder was emptied", () => {
    const list = new Playlist(100);
    list.replay([...takeShot(0, 3), ...takeShot(1, 3)]);
    list.next();
    list.follow();
    expect(drain(list)).toEqual(["1.0", "1.1", "1.2"]);
  });

  it("after a decoder's error waits for a keyframe", () => {
    const list = new Playlist(100);
    for (const one of [...takeShot(0, 3), ...takeShot(1, 1)]) list.push(one);
    list.next();
    list.breakOff();
    expect(drain(list)).toEqual(["1.0"]);
  });
});

describe("a reel whose chunk was put aside", () => {
  it("takes the frames that come in its place", () => {
    const reel = new Reel();
    for (const one of takeShot(0, 4)) reel.add(one);
    reel.drop({ shot: 0, take: 0, frame: 2 });
    expect(reel.newest?.frame).toBe(1);
    expect(reel.add(packet(0, 2, { keyframe: true }))).toBe(true);
    expect(reel.from([entry(0, 4, 2)]).map(({ frame }) => frame)).toEqual([0, 1, 2]);
  });
});

describe("the pace", () => {
  const pace = () => {
    const made = new Pace<Packet>(10);
    for (const one of [...takeShot(0, 3), ...takeShot(1, 2)]) made.push(one);
    return made;
  };
  const frames = (due: Packet[]) => due.map(({ shot, frame }) => `${shot}.${frame}`);

  it("keeps the distances of the film, also over a cut", () => {
    const one = pace();
    const shown = [0, 50, 100, 199, 200, 300, 400].map((now) => frames(one.due(1000 + now)));
    expect(shown).toEqual([["0.0"], [], ["0.1"], [], ["0.2"], ["1.0"], ["1.1"]]);
  });

  it("stays inside a chunk while an order is on its way, and plays its rest faster", () => {
    const one = pace();
    expect(frames(one.due(1000))).toEqual(["0.0"]);
    one.awaitTurn(2);
    expect([1050, 1100, 1900].map((now) => frames(one.due(now)))).toEqual([["0.1"], ["0.2"], []]);
    expect(frames(one.drop({ shot: 1, take: 0, frame: 1 }))).toEqual(["1.1"]);
    one.release();
    one.push(packet(1, 1));
    expect([2000, 2050, 2100].map((now) => frames(one.due(now)))).toEqual([["1.0"], [], ["1.1"]]);
  });

  it("does not rush after a stall", () => {
    const one = pace();
    one.due(1000);
    expect(frames(one.due(5000))).toEqual(["0.1"]);
    expect(frames(one.due(5050))).toEqual([]);
    expect(frames(one.due(5100))).toEqual(["0.2"]);
  });

  it("catches up on a frame that a slow screen missed", () => {
    const one = pace();
    one.due(1000);
    expect(frames(one.due(1210))).toEqual(["0.1", "0.2"]);
  });

  it("gives everything back when cleared", () => {
    const one = pace();
    one.due(1000);
    expect(one.clear()).toHaveLength(4);
    expect(one.due(9000)).toEqual([]);
  });
});

describe("the reel", () => {
  it("keeps a frame once and gives shots back in order", () => {
    const reel = new Reel();
    const came = [...takeShot(1, 2).reverse(), ...takeShot(0, 1), packet(1, 0)];
    expect(came.map((one) => reel.add(one))).toEqual([true, true, true, false]);
    expect(reel.from([entry(0, 1, 1), entry(1, 2, 1)]).map(({ shot, frame }) => [shot, frame])).toEqual([
      [0, 0],
      [1, 0],
      [1, 1],
    ]);
    expect(reel.holds(entry(1, 2, 1, 1))).toBe(false);
    expect(reel.holds(entry(1, 3, 1))).toBe(false);
  });

  it("forgets the takes that came first when they take too much room", () => {
    const reel = new Reel(25);
    for (const one of [...takeShot(0, 2), ...takeShot(1, 1)]) reel.add(one);
    expect(reel.holds(entry(0, 2, 1))).toBe(false);
    expect(reel.holds(entry(1, 1, 1))).toBe(true);
  });

  it("gives what a frame builds on, and nothing if some of that is missing", () => {
    const reel = new Reel();
    for (const one of takeShot(0, 8))
      if (one.frame !== 6) reel.add({ ...one, keyframe: one.frame % 4 === 0 });
    const frames = (frame: number) => reel.upTo({ shot: 0, take: 0, frame }).map((one) => one.frame);
    expect(frames(2)).toEqual([0, 1, 2]);
    expect(frames(5)).toEqual([4, 5]);
    expect(frames(7)).toEqual([]);
  });

  it("knows the last chunk that is here whole", () => {
    const reel = new Reel();
    for (const one of [...takeShot(0, 9), ...takeShot(1, 4)]) reel.add(one);
    expect(reel.lastWholeChunk([entry(0, 9, 1), entry(1, 9, 1)])).toEqual({ shot: 0, take: 0, chunk: 0 });
    expect(reel.lastWholeChunk([entry(0, 9, 1), entry(1, 4, 2)])).toEqual({ shot: 1, take: 0, chunk: 1 });
    expect(reel.lastWholeChunk([entry(0, 9, 1, 1)])).toBeUndefined();
  });
});

it("of a trimmed shot only what the film shows is handed out, with what it builds on to be decoded unseen", () => {
  const reel = new Reel();
  for (const one of takeShot(0, 8)) reel.add({ ...one, keyframe: one.frame % 4 === 0 });
  const trimmed = { ...entry(0, 8, 2), in_frame: 5, out_frame: 6 };
  const seen = (shots: ShotCard[], frame?: number) =>
    reel.from(shots, frame).map((one) => (one.hidden ? -one.frame : one.frame));
  expect(seen([trimmed])).toEqual([-4, 5, 6]);
  expect(seen([trimmed], 6)).toEqual([-4, -5, 6]);
  expect(reel.from([trimmed]).at(-1)!.lastOfShot).toBe(true);
  expect(seen([entry(0, 8, 2)], 6)).toEqual([-4, -5, 6, 7]);
  expect(seen([{ ...entry(0, 4, 1), state: "live" }])).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(neighbour([trimmed, entry(1, 2, 1)], { shot: 0, take: 0, frame: 6 }, 1)?.shot).toBe(1);
  expect(neighbour([trimmed], { shot: 0, take: 0, frame: 5 }, -1)).toBeUndefined();
});

it("the frame before or after is found over the borders of shots", () => {
  const shots = [entry(0, 3, 1), entry(1, 2, 1, 4), entry(2, 0, 0)];
  expect(neighbour(shots, { shot: 0, take: 0, frame: 1 }, 1)).toEqual({ shot: 0, take: 0, frame: 2 });
  expect(neighbour(shots, { shot: 0, take: 0, frame: 2 }, 1)).toEqual({ shot: 1, take: 4, frame: 0 });
  expect(neighbour(shots, { shot: 1, take: 4, frame: 0 }, -1)).toEqual({ shot: 0, take: 0, frame: 2 });
  expect(neighbour(shots, { shot: 0, take: 0, frame: 0 }, -1)).toBeUndefined();
  expect(neighbour(shots, { shot: 1, take: 4, frame: 1 }, 1)).toBeUndefined();
});

describe("stretches of a video element", () => {
  it("say which frame is seen, where a frame is, and how many are to come", () => {
    const stretches = new Stretches(10);
    const [first] = takeShot(0, 3).map((one) => stretches.take(one));
    const [second] = takeShot(1, 5).map((one) => stretches.take(one));
    expect(stretches.unseen(0)).toBe(8);
    expect(stretches.positionAt(0)).toBeUndefined();
    first!.startSeconds = 2;
    expect(stretches.positionAt(2.1)).toEqual({ shot: 0, take: 0, frame: 1 });
    expect(stretches.positionAt(9)).toEqual({ shot: 0, take: 0, frame: 2 });
    second!.startSeconds = 2.3;
    expect(stretches.positionAt(2.3)).toEqual({ shot: 1, take: 0, frame: 0 });
    expect(stretches.unseen(2.4)).toBe(3);
    expect(stretches.timeOf({ shot: 0, take: 0, frame: 2 })).toBeCloseTo(2.25);
    expect(stretches.timeOf({ shot: 1, take: 0, frame: 5 })).toBeUndefined();
  });

  it("whose film ended too early are gone on with by another", () => {
    const stretches = new Stretches(10);
    const [first] = takeShot(0, 5).map((one) => stretches.take(one));
    expect(stretches.end(first!, 3)).toMatchObject({ from: { shot: 0, take: 0, frame: 3 }, frames: 2 });
    expect(stretches.unseen(0)).toBe(5);
    const [second] = takeShot(1, 2).map((one) => stretches.take(one));
    expect(stretches.end(second!, 2)).toBeUndefined();
    expect(stretches.take(packet(1, 2))).toMatchObject({ from: { shot: 1, frame: 2 } });
  });

  it("begin anew where frames were left out", () => {
    const stretches = new Stretches(10);
    const opened = [0, 1, 4].map((frame) => stretches.take(packet(0, frame)) !== undefined);
    expect(opened).toEqual([true, false, true]);
  });
});

it("the codec is read from the parameter set behind any start code", () => {
  expect(codecOf(new Uint8Array([0, 0, 0, 1, 9, 240, 0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 1]))).toBe(
    "avc1.42c01e",
  );
  expect(codecOf(new Uint8Array([0, 0, 0, 1, 0x65, 1, 2, 3, 4]))).toBeUndefined();
});
