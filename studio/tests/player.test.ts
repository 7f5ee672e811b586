import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Packet, type Position, isFrom } from "../src/video/packet";
import { type Look, Player } from "../src/video/player";
import type { Screen } from "../src/video/screen";

/** Shows one frame per repaint and takes two in advance. */
class Slide implements Screen {
  waiting: Packet[] = [];
  wantsMore = () => this.waiting.length < 2;
  show = (packet: Packet) => void this.waiting.push(packet);
  paint = (): Position | undefined => this.waiting.shift();
  still = (packets: Packet[]) => void (this.waiting = packets.slice(-1));
  clear = () => void (this.waiting = []);
  awaitTurn = () => undefined;
  release = () => undefined;
  drop = (from: Position) => void (this.waiting = this.waiting.filter((packet) => !isFrom(packet, from)));
  close = () => this.clear();
}

const takeShot = (shot: number, frames: number): Packet[] =>
  Array.from({ length: frames }, (_, frame) => ({
    kind: 1,
    shot,
    take: 0,
    frame,
    keyframe: frame === 0,
    lastOfShot: false,
    timestampMicroseconds: frame,
    payload: new Uint8Array(1),
  }));

let repaint: FrameRequestCallback | undefined;
let shown: string[];
let player: Player;
const repaints = (count: number) => {
  for (let n = 0; n < count; n++) repaint?.(n);
};

beforeEach(() => {
  vi.stubGlobal("requestAnimationFrame", (callback: FrameRequestCallback) => ((repaint = callback), 1));
  vi.stubGlobal("cancelAnimationFrame", () => (repaint = undefined));
  shown = [];
  const MARKS = { live: "", again: "r", still: "s" };
  const note = ({ shot, frame }: Position, look: Look) => shown.push(`${shot}.${frame}${MARKS[look]}`);
  player = new Player(new Slide(), 1, note);
});
afterEach(() => {
  player.close();
  vi.unstubAllGlobals();
});

it("shows what comes in, in order, and waits when nothing does", () => {
  for (const packet of takeShot(0, 2)) player.push(packet);
  repaints(4);
  player.push(takeShot(0, 3)[2]!);
  repaints(1);
  expect(shown).toEqual(["0.0", "0.1", "0.2"]);
});

it("skips ahead when it falls behind, but plays in full what is no longer made", () => {
  player.hurries = false;
  for (const packet of [...takeShot(0, 8), ...takeShot(1, 4)]) player.push(packet);
  repaints(2);
  player.hurries = true;
  repaints(4);
  expect(shown).toEqual(["0.0", "0.1", "0.2", "1.0", "1.1", "1.2"]);
});

it("plays again, then goes on with what came in meanwhile", () => {
  player.replay(takeShot(0, 3));
  player.push(takeShot(1, 1)[0]!);
  repaints(6);
  expect(shown.map((name) => name.replace("r", ""))).toEqual(["0.0", "0.1", "0.2", "1.0"]);
  expect(shown[0]).toBe("0.0r");
  expect(shown.at(-1)).toBe("1.0");
});

it("goes back to now on demand: what was about to be shown again is not", () => {
  player.replay([...takeShot(0, 9), ...takeShot(1, 2)]);
  repaints(1);
  player.follow();
  repaints(3);
  expect(shown).toEqual(["0.0r", "1.0", "1.1"]);
});

it("stands still on a frame while others come in, and goes on with those", () => {
  player.push(takeShot(0, 1)[0]!);
  repaints(1);
  player.stand(takeShot(0, 5));
  for (const packet of takeShot(1, 2)) player.push(packet);
  repaints(3);
  expect(shown).toEqual(["0.0", "0.4s"]);
  player.follow();
  repaints(3);
  expect(shown.slice(2)).toEqual(["1.0", "1.1"]);
});

it("emptied, it says nothing of what was shown, and shows what comes in next", () => {
  player.replay(takeShot(0, 9));
  repaints(2);
  player.empty();
  repaints(3);
  for (const packet of takeShot(1, 1)) player.push(packet);
  repaints(2);
  expect(shown).toEqual(["0.0r", "0.1r", "1.0"]);
});

it("says so when the end of a replay is the newest there is", () => {
  player.replay(takeShot(0, 2));
  repaints(4);
  expect(shown.at(-1)).toBe("0.1");
});
