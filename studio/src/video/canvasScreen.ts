/** A screen that decodes with WebCodecs and paints on a canvas. */

import { type Decoded, H264Decoder, positionOf } from "./decoder";
import { Pace } from "./pace";
import { H264, type Packet, type Position } from "./packet";
import type { Screen } from "./screen";

const MOST_BEFORE_DUE = 8;

export class CanvasScreen implements Screen {
  private readonly pace: Pace<Decoded>;
  private readonly decoder: H264Decoder;
  /** The one frame that is wanted; all others are dropped. */
  private wanted?: Position;
  private found?: Decoded;

  /** @param failed told when frames could not be decoded; the next keyframe goes on. */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    fps: number,
    failed: (message: string) => void,
  ) {
    this.pace = new Pace(fps);
    this.decoder = new H264Decoder((picture) => this.came(picture), failed);
  }

  wantsMore(): boolean {
    return this.pace.length + this.decoder.backlog < MOST_BEFORE_DUE;
  }

  show(packet: Packet): void {
    if (packet.kind === H264) this.decoder.decode(packet);
  }

  still(packets: Packet[]): void {
    this.clear();
    this.wanted = packets.at(-1);
    for (const packet of packets) this.show(packet);
    this.decoder.flush();
  }

  paint(nowMs: number): Position | undefined {
    const due = this.wanted ? this.takeFound() : this.pace.due(nowMs);
    const newest = due.at(-1);
    if (newest) this.draw(newest);
    for (const picture of due) picture.close();
    return newest && positionOf(newest);
  }

  awaitTurn(rate: number): void {
    this.pace.awaitTurn(rate);
  }

  release(): void {
    this.pace.release();
  }

  drop(from: Position): void {
    this.decoder.drop(from);
    for (const picture of this.pace.drop(from)) picture.close();
  }

  clear(): void {
    this.decoder.reset();
    for (const picture of [...this.pace.clear(), ...this.takeFound()]) picture.close();
    this.wanted = undefined;
  }

  close(): void {
    this.clear();
    this.decoder.close();
  }

  private came(picture: Decoded): void {
    if (picture.hidden) picture.close();
    else if (!this.wanted) this.pace.push(picture);
    else if (picture.frame === this.wanted.frame) this.found = picture;
    else picture.close();
  }

  private takeFound(): Decoded[] {
    const { found } = this;
    this.found = undefined;
    return found ? [found] : [];
  }

  private draw({ image, width, height }: Decoded): void {
    const { canvas } = this;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext("2d")?.drawImage(image, 0, 0);
  }
}
