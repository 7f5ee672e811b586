/** Plays the telling as it comes in, or shots again. */

import type { Packet, Position } from "./packet";
import { Playlist } from "./playlist";
import type { Screen } from "./screen";

/** How far behind the telling the picture may fall before it skips ahead. */
const MOST_SECONDS_BEHIND = 5;

export class Player {
  private readonly playlist: Playlist;
  private request = 0;
  private skipBelow = 0;

  /** @param shown told which frame became visible. */
  constructor(
    private readonly screen: Screen,
    fps: number,
    private readonly shown: (position: Position, isReplay: boolean) => void,
  ) {
    this.playlist = new Playlist(Math.round(MOST_SECONDS_BEHIND * fps));
    this.tick = this.tick.bind(this);
    this.request = requestAnimationFrame(this.tick);
  }

  /** When a story is opened that was told before: its earlier shots come in, but are not played. */
  openAt(shot: number): void {
    this.skipBelow = shot;
  }

  push(packet: Packet): void {
    if (packet.shot < this.skipBelow) return;
    this.skipBelow = 0;
    this.playlist.push(packet);
  }

  /** Plays these frames, then goes on with what comes in. */
  replay(packets: Packet[]): void {
    this.screen.clear();
    this.playlist.replay(packets);
  }

  /** Goes back to what is being made. */
  follow(): void {
    if (!this.playlist.isReplay) return;
    this.screen.clear();
    this.playlist.follow();
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
    while (this.screen.wantsMore()) {
      const packet = this.playlist.next();
      if (!packet) break;
      this.screen.show(packet);
    }
    const position = this.screen.paint(nowMs);
    if (position) this.shown(position, this.playlist.isReplay);
  }
}
