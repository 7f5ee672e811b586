import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Packet, Position } from "../src/video/packet";
import { Player } from "../src/video/player";
import type { Screen } from "../src/video/screen";

/** Shows one frame per repaint and takes two in advance. */
class Slide implements Screen {
  waiting: Packet[] = [];
  wantsMore = () => this.waiting.length < 2;
  show = (packet: Packet) => void this.waiting.push(packet);
  paint = (): Position | undefined => this.waiting.shift();
  clear = () => void (this.waiting = []);
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
  const note = ({ shot, frame }: Position, isReplay: boolean) =>
    shown.push(`${shot}.${frame}${isReplay ? "r" : ""}`);
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

it("of a story told before, plays the newest shot only, and later also retakes of earlier ones", () => {
  player.openAt(1);
  for (const packet of [...takeShot(0, 2), ...takeShot(1, 2), ...takeShot(0, 1)]) player.push(packet);
  repaints(5);
  expect(shown).toEqual(["1.0", "1.1", "0.0"]);
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
