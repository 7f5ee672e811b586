/** Orders go out in the order in which they were given, though it is known of some only later what they say. */

import type { Order } from "./link";

/** A place in the row, taken when a person gave an order. */
export interface Place {
  /** Says what the order is. */
  order(what: Order): void;
  /** Gives the place up: nothing is ordered. It may be called more than once, and after `order`. */
  leave(): void;
  /** Whether it is still waited for what the order says. */
  isOpen(): boolean;
}

export class OrderRow {
  private row: { isOpen: boolean; what?: Order }[] = [];

  /**
   * @param send takes an order whose turn has come.
   * @param held told how many orders wait behind one that is not known yet.
   */
  constructor(
    private readonly send: (what: Order) => void,
    private readonly held: (orders: number) => void = () => undefined,
  ) {}

  /** Takes a place for an order that is known later. */
  reserve(): Place {
    const place = { isOpen: true, what: undefined as Order | undefined };
    const close = (what?: Order) => {
      if (!place.isOpen) return;
      Object.assign(place, { isOpen: false, what });
      this.move();
    };
    this.row.push(place);
    return { order: close, leave: () => close(), isOpen: () => place.isOpen };
  }

  /** Gives an order; a stop does not wait for what is not known yet, and nothing becomes of that. */
  give(what: Order): void {
    if (what.type === "stop") {
      for (const place of this.row) place.isOpen = false;
    }
    this.row.push({ isOpen: false, what });
    this.move();
  }

  private move(): void {
    while (this.row[0]?.isOpen === false) {
      const { what } = this.row.shift()!;
      if (what) this.send(what);
    }
    this.held(this.row.filter(({ what }) => what).length);
  }
}
