import { type LiveEvent, parseEvent } from './events';

/** Whether events arrive: not yet, now, or not any more. */
export type Liveness = 'connecting' | 'live' | 'cut';

export interface Listener {
  readonly heard: (events: readonly LiveEvent[]) => void;
  readonly changed: (liveness: Liveness) => void;
}

const FIRST_PAUSE = 400; // milliseconds until the next try to connect
const LONGEST_PAUSE = 5_000;

/** The one connection to the daemon's events, resumed after the last one that it heard. */
export class LiveConnection {
  #socket: WebSocket | null = null;
  #last: string;
  #pause = FIRST_PAUSE;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waiting: LiveEvent[] = [];
  #closed = false;

  /** Events after the one with the id `after` are told to the listener. */
  constructor(
    readonly address: string,
    after: string,
    readonly listener: Listener,
  ) {
    this.#last = after;
  }

  /** Connect now, also while it waits for its next try. */
  open(): void {
    if (this.#closed || this.#socket !== null) return;
    clearTimeout(this.#timer);
    const socket = new WebSocket(`${this.address}?last_event_id=${encodeURIComponent(this.#last)}`);
    this.#socket = socket;
    socket.onopen = () => {
      this.#pause = FIRST_PAUSE;
      this.listener.changed('live');
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') this.#hear(data);
    };
    socket.onclose = () => {
      this.#socket = null;
      this.#again();
    };
  }

  /** Connect no more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #hear(text: string): void {
    const event = parseEvent(text);
    if (event === null) return;
    this.#last = event.id;
    // Frames that arrive together are told together: one rendering, not a hundred.
    if (this.#waiting.push(event) > 1) return;
    queueMicrotask(() => {
      const events = this.#waiting;
      this.#waiting = [];
      this.listener.heard(events);
    });
  }

  #again(): void {
    if (this.#closed) return;
    this.listener.changed('cut');
    this.#timer = setTimeout(() => this.open(), this.#pause);
    this.#pause = Math.min(this.#pause * 1.6, LONGEST_PAUSE);
  }
}
