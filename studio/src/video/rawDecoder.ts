/** For development: frames that nobody encoded. */

import { type Decoded, type Decoder, positionOf } from "./decoder";
import type { Packet } from "./packet";

/** Payload: width and height (uint16, little-endian), then RGB bytes row by row. */
export class RawDecoder implements Decoder {
  readonly backlog = 0;

  constructor(private readonly decoded: (picture: Decoded) => void) {}

  decode(packet: Packet): void {
    const { payload } = packet;
    const view = new DataView(payload.buffer, payload.byteOffset);
    const [width, height] = [view.getUint16(0, true), view.getUint16(2, true)];
    const pixels = new Uint8ClampedArray(width * height * 4).fill(255);
    for (let pixel = 0; pixel < width * height; pixel++) {
      for (let colour = 0; colour < 3; colour++)
        pixels[4 * pixel + colour] = payload[4 + 3 * pixel + colour]!;
    }
    const image = new OffscreenCanvas(width, height);
    image.getContext("2d")!.putImageData(new ImageData(pixels, width), 0, 0);
    const { timestampMicroseconds } = packet;
    this.decoded({
      ...positionOf(packet),
      timestampMicroseconds,
      image,
      width,
      height,
      close: () => undefined,
    });
  }

  flush(): void {}

  reset(): void {}

  close(): void {}
}
