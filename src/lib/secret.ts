import { inspect } from 'node:util';

const redacted = '[redacted]';

/**
 * A value that must not reach a log, an error, a page or a process list. Prints as `[redacted]` however it is
 * turned into text; `reveal()` is the one way to the value, easy to find in a review.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  equals(other: Secret | undefined): boolean {
    return other !== undefined && other.#value === this.#value;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [inspect.custom](): string {
    return redacted;
  }
}
