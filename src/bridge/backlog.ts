/** Counts the bytes that wait for the remote, and says when reading from the client has to pause and may go on. */
export interface Backlog {
  add(characters: number): void;
  remove(characters: number): void;
}

export function createBacklog(most: number, full: () => void, free: () => void): Backlog {
  let size = 0;
  let isFull = false;
  return {
    add(characters) {
      size += characters;
      if (isFull || size <= most) return;
      isFull = true;
      full();
    },
    remove(characters) {
      size -= characters;
      if (!isFull || size > most / 2) return;
      isFull = false;
      free();
    },
  };
}
