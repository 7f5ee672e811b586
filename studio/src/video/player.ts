/** Plays the telling as it comes in, or shots again, or stands still on a frame. */

import type { Packet, Position } from "./packet";
import { Playlist } from "./playlist";
import type { Screen } from "./screen";

/** How far behind the telling the picture may fall before it skips ahead. */
const MOST_SECONDS_BEHIND = 5;

/** What is being looked at: what is made now, an earlier shot, or one frame. */
export type Look = "live" | "again" | "still";

export class Player {
  private readonly playlist: Playlist;
  /** Whether it skips ahead when it falls behind: while a shot is made. */
  hurries = true;
  private request = 0;
  private stands = false;
  private last?: { position: Position; look: Look };

  /** @param shown told which frame became visible. */
  constructor(
    private readonly screen: Screen,
    fps: number,
    private readonly shown: (position: Position, look: Look) => void,
  ) {
    this.playlist = new Playlist(Math.round(MOST_SECONDS_BEHIND * fps));
    this.tick = this.tick.bind(this);
    this.request = requestAnimationFrame(this.tick);
  }

  private get look(): Look {
    if (this.stands) return "still";
    return this.playlist.isReplay ? "again" : "live";
  }

  push(packet: Packet): void {
    this.playlist.push(packet);
  }

  /** Plays these frames, then goes on with what comes in. */
  replay(packets: Packet[]): void {
    this.stands = false;
    this.screen.clear();
    this.playlist.replay(packets);
  }

  /** Waits for what comes in, as if nothing had been shown. */
  empty(): void {
    this.replay([]);
    this.last = undefined;
  }

  /** Stands still on the last of these frames; the first is a keyframe. Without any, on what is there. */
  stand(packets: Packet[] = []): void {
    this.stands = true;
    if (packets.length > 0) this.screen.still(packets);
    else this.screen.clear();
  }

  /** Goes back to what is being made. */
  follow(): void {
    if (this.look === "live") return;
    this.stands = false;
    this.screen.clear();
    this.playlist.follow();
  }

  /** Stays inside the chunk on the screen until `release`, and plays its rest so many times as fast. */
  awaitTurn(rate: number): void {
    if (this.look === "live") this.screen.awaitTurn(rate);
  }

  release(): void {
    this.screen.release();
  }

  /** Drops the frames of a take from this one on: they are no longer part of the story. */
  drop(from: Position): void {
    this.playlist.drop(from);
    this.screen.drop(from);
  }

  /** After a decoder's error: waits for the next keyframe. */
  breakOff(): void {
    this.playlist.breakOff();
  }

  close(): void {
    cancelAnimationFrame(this.request);
    this.screen.close();
  }

  private tick(nowMs: number): void {
    this.request = requestAnimationFrame(this.tick);
    while (!this.stands && this.screen.wantsMore()) {
      const packet = this.playlist.next(this.hurries);
      if (!packet) break;
      this.screen.show(packet);
    }
    this.tell(this.screen.paint(nowMs));
  }

  /** Says what became visible, and when what is visible became the newest there is. */
  private tell(painted: Position | undefined): void {
    const { look, last } = this;
    const position = painted ?? (look === "live" && last?.look !== "live" ? last?.position : undefined);
    if (!position) return;
    this.last = { position, look };
    this.shown(position, look);
  }
}
