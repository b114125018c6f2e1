import { isRecord } from '../../api/errors';

const FIRST_PAUSE = 300; // milliseconds until the next try to connect
const LONGEST_PAUSE = 5_000;
const MOST_TRIES = 8; // without an answer, until somebody has to ask for another

/** What a shell's connection tells. */
export interface ShellListener {
  /** Connected; what comes first is a replay of so many bytes of an older shell's screen. */
  readonly attached: (resumed: boolean, replay: number) => void;
  readonly shown: (data: Uint8Array<ArrayBuffer>) => void;
  /** The connection was lost, and is tried again. */
  readonly lost: () => void;
  /** It is over: the shell has ended with a status, is elsewhere, or cannot be reached. */
  readonly ended: (how: number | 'replaced' | 'unreachable') => void;
  readonly size: () => { readonly cols: number; readonly rows: number };
}

/** The connection to one shell, which is found again by its session after a break. */
export class ShellConnection {
  #socket: WebSocket | null = null;
  #pause = FIRST_PAUSE;
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  constructor(
    readonly address: string,
    readonly session: string,
    readonly listener: ShellListener,
  ) {
    this.#open();
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(data);
  }

  /** Try again now, if it waits for that. */
  wake(): void {
    if (this.#over || this.#socket !== null) return;
    this.#tries = 0;
    clearTimeout(this.#timer);
    this.#open();
  }

  close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #open(): void {
    const { cols, rows } = this.listener.size();
    const query = new URLSearchParams({
      session: this.session,
      cols: String(cols),
      rows: String(rows),
    });
    const socket = new WebSocket(`${this.address}?${query}`);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.listener.shown(new Uint8Array(data));
      else if (typeof data === 'string') this.#told(data);
    };
    socket.onclose = () => {
      this.#socket = null;
      this.#again();
    };
  }

  #told(text: string): void {
    const message: unknown = JSON.parse(text);
    if (!isRecord(message)) return;
    if (message['type'] === 'attached') {
      this.#pause = FIRST_PAUSE;
      this.#tries = 0;
      this.listener.attached(message['resumed'] === true, Number(message['replay']));
    } else if (message['type'] === 'replaced') {
      this.#end('replaced');
    } else if (typeof message['status'] === 'number') {
      this.#end(message['status']);
    }
  }

  #end(how: number | 'replaced' | 'unreachable'): void {
    if (this.#over) return;
    this.#over = true;
    this.listener.ended(how);
  }

  #again(): void {
    if (this.#over) return;
    this.#tries += 1;
    if (this.#tries > MOST_TRIES) {
      this.#end('unreachable');
      return;
    }
    this.listener.lost();
    this.#timer = setTimeout(() => this.#open(), this.#pause);
    this.#pause = Math.min(this.#pause * 1.6, LONGEST_PAUSE);
  }
}

/** The session of a workspace's shell in this tab: it survives a reload, and a new shell ends it. */
export function sessionOf(workspace: string, renew = false): string {
  const key = `shell:${workspace}`;
  const known = renew ? null : sessionStorage.getItem(key);
  if (known !== null) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const made = Array.from(bytes, (it) => it.toString(16).padStart(2, '0')).join('');
  sessionStorage.setItem(key, made);
  return made;
}
