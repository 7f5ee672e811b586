/** Draws cartoon frames without a canvas, for the fake server. */

import { deflateSync } from "node:zlib";

export const WIDTH = 224;
export const HEIGHT = 128;

type Colour = readonly [number, number, number];

const COLOURS: Record<string, Colour> = {
  red: [206, 66, 60],
  orange: [232, 138, 52],
  yellow: [236, 200, 70],
  green: [84, 156, 92],
  blue: [72, 118, 200],
  purple: [140, 92, 180],
};
const PLACES: Record<string, { ground: Colour; hill: Colour }> = {
  beach: { ground: [230, 205, 150], hill: [70, 150, 190] },
  city: { ground: [120, 118, 125], hill: [92, 88, 104] },
  woods: { ground: [74, 104, 62], hill: [46, 78, 52] },
  snow: { ground: [236, 240, 246], hill: [188, 204, 224] },
  meadow: { ground: [112, 170, 82], hill: [78, 138, 74] },
};
const SKIES: Record<string, [Colour, Colour, Colour]> = {
  night: [
    [18, 22, 52],
    [52, 58, 104],
    [236, 236, 214],
  ],
  sunset: [
    [112, 76, 132],
    [248, 168, 110],
    [255, 224, 150],
  ],
  day: [
    [104, 176, 232],
    [206, 232, 246],
    [255, 244, 190],
  ],
};

class Sheet {
  readonly pixels = new Uint8Array(WIDTH * HEIGHT * 3);

  /** Paints every pixel by its coverage (0..1), found from the signed distance in pixels. */
  paint(colour: Colour, distance: (x: number, y: number) => number): void {
    for (let y = 0, at = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++, at += 3) {
        const cover = Math.min(1, Math.max(0, 0.5 - distance(x, y)));
        if (cover === 0) continue;
        for (let c = 0; c < 3; c++)
          this.pixels[at + c] = this.pixels[at + c]! * (1 - cover) + colour[c]! * cover;
      }
    }
  }

  oval(colour: Colour, cx: number, cy: number, rx: number, ry = rx): void {
    const smaller = Math.min(rx, ry);
    this.paint(colour, (x, y) => (Math.hypot((x - cx) / rx, (y - cy) / ry) - 1) * smaller);
  }

  sky([top, bottom]: [Colour, Colour, Colour]): void {
    for (let y = 0, at = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        for (let c = 0; c < 3; c++, at++) this.pixels[at] = top[c]! + ((bottom[c]! - top[c]!) * y) / HEIGHT;
      }
    }
  }
}

const found = <T>(table: Record<string, T>, text: string, otherwise: string): T =>
  table[Object.keys(table).find((word) => text.includes(word)) ?? otherwise]!;

/** One frame of a shot: RGB bytes, row by row. `seconds` counts from the shot's start. */
export function drawFrame(setting: string, prompt: string, seed: number, seconds: number): Uint8Array {
  const words = `${setting} ${prompt}`.toLowerCase();
  const does = prompt.toLowerCase();
  const sheet = new Sheet();
  const sky = found(SKIES, words, "day");
  const place = found(PLACES, words, "meadow");
  const coat = found(COLOURS, words, "orange");
  const zoom = does.includes("close") ? 2 : does.includes("wide") ? 0.75 : 1.15;
  const pan = does.includes("pan") ? seconds * 6 : 0;
  sheet.sky(sky);
  sheet.oval(sky[2], 176 - pan * 0.3, 26, 11);
  sheet.oval(place.hill, 60 - pan, 130, 90, 58);
  sheet.oval(place.hill, 190 - pan, 136, 80, 50);
  sheet.paint(place.ground, (x, y) => 92 + 3 * Math.sin((x + pan) / 30 + seed) - y);
  drawFigure(sheet, coat, does, zoom, seconds + (seed % 7));
  return sheet.pixels;
}

function drawFigure(sheet: Sheet, coat: Colour, does: string, zoom: number, seconds: number): void {
  const beat = Math.sin(seconds * 6);
  const jump = /jump|hop/.test(does) ? Math.abs(beat) * 14 : 0;
  const walk = /walk/.test(does) ? ((seconds * 14) % 90) - 45 : 0;
  const sway = /danc/.test(does) ? beat * 8 : 0;
  const look = /look/.test(does) ? Math.sin(seconds * 2) * 2 : 0;
  const wave = /wav|hello/.test(does) ? 6 + beat * 6 : 0;
  const dark: Colour = [36, 28, 30];
  const at = (x: number, y: number) =>
    [112 + walk + sway + x * zoom, 98 - jump + (zoom > 1.5 ? 46 : 0) + y * zoom] as const;
  const oval = (colour: Colour, x: number, y: number, rx: number, ry = rx) =>
    sheet.oval(colour, ...at(x, y), rx * zoom, ry * zoom);
  oval(coat, -7, 2, 4, 9);
  oval(coat, 7, 2, 4, 9);
  oval(coat, 0, -14, 13, 16);
  oval([246, 236, 220], 0, -11, 7, 10);
  oval(coat, 15, -18 - wave, 4, 9);
  oval(coat, -15, -14, 4, 9);
  oval(coat, -10, -50, 5, 8);
  oval(coat, 10, -50, 5, 8);
  oval(coat, 0, -38, 16, 14);
  oval([255, 255, 255], -6 + look / 2, -40, 4, 5);
  oval([255, 255, 255], 6 + look / 2, -40, 4, 5);
  oval(dark, -6 + look, -39, 2, 2.5);
  oval(dark, 6 + look, -39, 2, 2.5);
  oval(dark, 0, -32, 3, 1.6);
  oval(dark, 0, -52, 13, 2);
  oval(dark, 0, -58, 8, 7);
}

/** A frame as a PNG file. */
export function toPng(pixels: Uint8Array): Buffer {
  const rows = Buffer.alloc(HEIGHT * (1 + WIDTH * 3));
  for (let y = 0; y < HEIGHT; y++) {
    rows.set(pixels.subarray(y * WIDTH * 3, (y + 1) * WIDTH * 3), y * (1 + WIDTH * 3) + 1);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(WIDTH, 0);
  header.writeUInt32BE(HEIGHT, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
  return Buffer.concat([
    signature,
    part("IHDR", header),
    part("IDAT", deflateSync(rows)),
    part("IEND", Buffer.alloc(0)),
  ]);
}

function part(name: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name, "ascii"), content]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(checksum(body));
  return Buffer.concat([length, body, check]);
}

function checksum(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}
