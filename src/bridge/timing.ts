/** How long the bridge waits for what. Milliseconds. */
export interface Timing {
  /** First requests (`initialize`, the lists) for the network, before they are answered from what is known. */
  readonly patienceMs: number;
  /** A request for a connection, before it is answered with an error. */
  readonly holdMs: number;
  /** A call for a person in the browser: shorter than clients wait for a call (60 s). */
  readonly signInMs: number;
  /** What is about to be answered when the input ends. */
  readonly graceMs: number;
  /** The DELETE that ends the session. */
  readonly farewellMs: number;
}

export const defaultTiming: Timing = {
  patienceMs: 300,
  holdMs: 10_000,
  signInMs: 40_000,
  graceMs: 300,
  farewellMs: 400,
};
